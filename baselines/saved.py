"""Any schedule from a file, also the published ones."""

import os
from dataclasses import dataclass

from torch import nn

from baselines.files import find, sha256
from smoothbench.caching import ErrorCurves, Schedule, Site, Trajectory, saved_sites


@dataclass(frozen=True)
class SavedSchedule:
    """The schedule in the JSON file at `path`, in published or canonical names.

    A relative path that is not there is looked up among the published schedules in `baselines/schedules`.
    """

    path: str
    needs_curves = False
    name = "schedule"
    version = 1
    digested = ("path",)

    def __post_init__(self) -> None:
        if not isinstance(self.path, str):
            raise ValueError(f"cache.policy.path must be the name of a file, not {self.path!r}")
        if not os.path.isfile(
            find(self.path, "schedules")
        ):  # unlike pathlib's, no error for a name that is too long
            raise ValueError(f"schedule {self.path}: no such file (cache.policy.path=...)")

    @property
    def digest(self) -> str:
        """The sha256 of the schedule's file: what it holds counts, not where it lies."""
        return sha256(find(self.path, "schedules"))

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return the sites that the file is for."""
        return saved_sites(find(self.path, "schedules"), denoiser)

    def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        """Read it for this model; ValueError where it is for another time grid."""
        schedule = Schedule.load(find(self.path, "schedules"), trajectory.sites)
        try:
            schedule.check_fits(trajectory.coordinates)
        except ValueError as error:
            raise ValueError(f"schedule {self.path} {error}") from None
        return schedule
