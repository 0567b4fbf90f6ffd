"""MagCache (arXiv 2506.09045): reuse what the blocks add while its magnitude, measured in advance, hardly changes."""

import os
from dataclasses import dataclass
from math import inf
from typing import ClassVar

from baselines.checks import check_whole
from baselines.files import sha256
from baselines.magnitude_ratios import macs, measured, read
from baselines.whole_stack import WholeStack
from smoothbench.caching import CalibrationBatch, Range, Schedule, Trajectory


@dataclass(frozen=True)
class MagCache(WholeStack):
    """MagCache skips the stack of blocks while the error that it estimates since the last computed one is small.

    A skipped evaluation adds |1 - p| to the error, where p is the product of the magnitude ratios since then (the paper
    prints 1 - p, equations 6 to 10). At most `k_max` are skipped in a row, none in the first share `retention` of the
    run. The ratios are measured on the calibration batch, or read from `ratios`, the file of a MagCache schedule.
    Built is the released code for FLUX, as in diffusers; its step 11 that is always computed, and the root of the
    ratios in the code for Open-Sora, are left out. Raises ValueError for a parameter out of its range, and for ratios
    of another model, step count or solver.
    """

    threshold: float
    k_max: int = 3
    retention: float = 0.2
    ratios: str | None = None
    name = "magcache"
    version = 1
    knob: ClassVar[str] = "threshold"
    digested = ("ratios",)

    def __post_init__(self) -> None:
        if not (isinstance(self.threshold, int | float) and 0 <= self.threshold < inf):
            raise ValueError(f"MagCache's threshold must be at least 0 and finite, not {self.threshold}")
        check_whole("MagCache's k_max", self.k_max, 0)
        if not (isinstance(self.retention, int | float) and 0 <= self.retention <= 1):
            raise ValueError(f"MagCache's retention must be a share from 0 to 1, not {self.retention}")
        if self.ratios is not None and not os.path.isfile(self.ratios):
            raise ValueError(f"magnitude ratios {self.ratios}: no such file (cache.policy.ratios=...)")

    @property
    def digest(self) -> str:
        """The sha256 of the file of ratios; empty where they are measured."""
        return "" if self.ratios is None else sha256(self.ratios)

    def settings(self, trajectory: Trajectory) -> Range:
        """Return the thresholds from 0, where all is computed, to one that hardly any error reaches."""
        return Range(0.0, 10.0)

    def plan_on(self, trajectory: Trajectory, batch: CalibrationBatch) -> Schedule:
        """Plan a schedule that computes the whole stack, or nothing of it, at every evaluation."""
        ratios = measured(trajectory, batch) if self.ratios is None else read(self.ratios, trajectory)
        product, error, skipped, full = 1.0, 0.0, 0, [True] * trajectory.evals
        for e in range(max(1, int(self.retention * trajectory.evals + 0.5)), trajectory.evals):
            product *= ratios[e]
            error, skipped = error + abs(1 - product), skipped + 1
            full[e] = error > self.threshold or skipped > self.k_max
            if full[e]:
                product, error, skipped = 1.0, 0.0, 0
        parameters = {"threshold": self.threshold, "k_max": self.k_max, "retention": self.retention}
        known = {"ratios": ratios, "macs": macs(trajectory), "coordinates": [*trajectory.coordinates]}
        return Schedule.steps(trajectory.sites, full, {"method": "magcache", **parameters, **known})
