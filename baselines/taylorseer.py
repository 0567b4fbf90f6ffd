"""TaylorSeer (arXiv 2503.06923): compute every `interval`-th evaluation after a warm-up, forecast those in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from baselines.checks import check_whole
from smoothbench.caching import AtLevel, ErrorCurves, Schedule, Trajectory


@dataclass(frozen=True)
class TaylorSeer(AtLevel):
    """TaylorSeer computes the first evaluations and then every `interval`-th, counted from the last of these.

    It forecasts what it skips by a Taylor series of finite differences (section 3.3), which is the predictor `taylor1`
    to `taylor4`; published settings are `interval` 3 to 6 with order 2 to 4. The mask is that of the released code
    (TaylorSeer-DiT, first_enhance = 2), which the paper does not spell out: the last evaluations are not protected, so
    that a run may end in forecasts. The code begins its differences at the last evaluation of the warm-up, ours at the
    first of all: the same with `first_enhance` 1 or 2 for any order, with more for order 1.
    Raises ValueError for an interval or a warm-up below 1.
    """

    interval: int
    first_enhance: int = 2
    needs_curves = False
    name = "taylorseer"
    version = 1
    knob: ClassVar[str] = "interval"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("interval", "first_enhance"):
            check_whole(f"TaylorSeer's {key}", getattr(self, key))

    def settings(self, trajectory: Trajectory) -> Sequence[int]:
        """Return all intervals with different schedules; with the last one the warm-up alone is computed."""
        return range(1, max(1, trajectory.evals - self.first_enhance + 1) + 1)

    def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        """Plan a schedule that computes all sites, or none, at every evaluation."""
        since = [e - (self.first_enhance - 1) for e in range(trajectory.evals)]  # the end of the warm-up
        full = [after <= 0 or after % self.interval == 0 for after in since]
        meta = {"method": "taylorseer", "interval": self.interval, "first_enhance": self.first_enhance}
        return Schedule.steps(trajectory.sites, full, meta)
