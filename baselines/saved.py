"""Any schedule from a file, also the published ones."""

from dataclasses import dataclass
from pathlib import Path

from smoothbench.caching import ErrorCurves, Schedule, Trajectory


@dataclass(frozen=True)
class SavedSchedule:
    """The schedule in the JSON file at `path`, in published or canonical names."""

    path: str
    needs_curves = False

    def __post_init__(self) -> None:
        if not Path(self.path).is_file():
            raise ValueError(f"schedule {self.path}: no such file (cache.path=...)")

    def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        """Read it for this model; ValueError where it has another number of evaluations."""
        schedule = Schedule.load(self.path, trajectory.sites)
        if schedule.evals != trajectory.evals:
            raise ValueError(
                f"schedule {self.path} has {schedule.evals} evaluations, but the solver makes {trajectory.evals}"
            )
        return schedule
