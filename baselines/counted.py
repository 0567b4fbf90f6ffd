"""A schedule of which nothing but its number of full evaluations was published: for its cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from smoothbench.caching import ErrorCurves, Schedule, Trajectory


@dataclass(frozen=True)
class CountedSchedule:
    """A schedule with `full` full evaluations, at the beginning and one at the end; where they lay was not published.

    Its cost is that of any schedule with this count, its samples are no method's. `plan` raises ValueError where
    there are not so many evaluations.
    """

    full: int
    needs_curves = False
    name = "counted"
    version = 1
    knob: ClassVar[str] = "full"

    def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        """Plan a schedule that computes all sites, or none, at every evaluation."""
        evals = trajectory.evals
        if not 2 <= self.full <= evals:
            raise ValueError(
                f"{self.full} full evaluations: the solver makes {evals}, and at least 2 are full"
            )
        meta = {"method": "counted", "full": self.full, "planned": "published count"}
        return Schedule.steps(
            trajectory.sites, [e < self.full - 1 or e == evals - 1 for e in range(evals)], meta
        )

    def settings(self, trajectory: Trajectory) -> Sequence[int]:
        """Return every number of full evaluations, from all of them down to 2."""
        return range(trajectory.evals, 1, -1)
