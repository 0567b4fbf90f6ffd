"""FORA (arXiv 2407.01425): compute everything at every `interval`-th evaluation, reuse in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from baselines.checks import check_whole
from smoothbench.caching import AtLevel, ErrorCurves, Schedule, Trajectory


@dataclass(frozen=True)
class FORA(AtLevel):
    """FORA computes all sites at fixed intervals, in the orientation of its repository or mirrored.

    The repository counts evaluations down (i = evals - 1 - e) and computes the first one and every
    i divisible by `interval`. SmoothCache's tables hold the same schedule in reverse (`mirrored`).
    Raises ValueError for an interval below 1 or an unknown orientation.
    """

    interval: int
    orientation: str = "repository"
    needs_curves = False
    name = "fora"
    version = 1
    knob: ClassVar[str] = "interval"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("FORA's interval", self.interval)
        if self.orientation not in ("repository", "mirrored"):
            raise ValueError(f"FORA's orientation is 'repository' or 'mirrored', not {self.orientation!r}")

    def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        """Plan a schedule that computes all sites, or none, at every evaluation."""
        countdown = range(trajectory.evals - 1, -1, -1)
        full = [i == trajectory.evals - 1 or i % self.interval == 0 for i in countdown]
        if self.orientation == "mirrored":
            full.reverse()
        meta = {"method": "fora", "interval": self.interval, "orientation": self.orientation}
        return Schedule.steps(trajectory.sites, full, meta)

    def settings(self, trajectory: Trajectory) -> Sequence[int]:
        """Return every interval, the smallest first, up to the one that leaves two full evaluations."""
        return range(1, max(trajectory.evals, 2))
