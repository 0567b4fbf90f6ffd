"""Static methods that are given a number of full evaluations, and search for where they lie best."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar

from baselines.checks import check_whole
from smoothbench.caching import AtLevel, CalibrationBatch, Schedule, Trajectory
from smoothbench.caching.knobs import share_of_full


@dataclass(frozen=True)
class FullEvaluations(AtLevel, ABC):
    """A static method that computes everything at `full` evaluations and nothing at the others.

    A method says by `possible` how many full evaluations it can place, and by `place` which. Raises ValueError unless
    `full` is a whole number from 1.
    """

    full: int
    level: str = field(default="span", kw_only=True)
    knob: ClassVar[str] = "full"
    name: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole(full=1)

    def check_whole(self, **least: int) -> None:
        """Raise ValueError unless these parameters are whole numbers from so many on."""
        for parameter, number in least.items():
            check_whole(f"{type(self).__name__}'s {parameter}", getattr(self, parameter), number)

    @abstractmethod
    def possible(self, evals: int, full: int) -> bool:
        """Return whether the method can place so many full evaluations, fewer than all, among `evals`."""

    @abstractmethod
    def place(self, trajectory: Trajectory, batch: CalibrationBatch) -> Sequence[int]:
        """Return the full evaluations, `full` of them, the first included."""

    def settings(self, trajectory: Trajectory) -> list[int]:
        """Return every number of full evaluations that the method can place, the largest first."""
        evals = trajectory.evals
        return [evals, *(full for full in range(evals - 1, 0, -1) if self.possible(evals, full))]

    def share_at(self, trajectory: Trajectory, setting: int) -> float:
        """Return the share of the uncached MACs that so many full evaluations cost, wherever they lie."""
        return share_of_full(trajectory, setting)

    def plan_on(self, trajectory: Trajectory, batch: CalibrationBatch) -> Schedule:
        """Plan a schedule that computes all sites, or none, at every evaluation.

        Raises ValueError where the method cannot place so many full evaluations.
        """
        evals, settings = trajectory.evals, self.settings(trajectory)
        if self.full not in settings:
            raise ValueError(
                f"{self.name} cannot place full={self.full} full evaluations among {evals}: it can {ranges(settings)}"
            )
        full = range(evals) if self.full == evals else self.place(trajectory, batch)
        parameters = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "level"}
        meta = {"method": self.name, **parameters}
        return Schedule.steps(trajectory.sites, [e in full for e in range(evals)], meta)


def ranges(numbers: Sequence[int]) -> str:
    """Write whole numbers as ranges, `1, 8-14`."""
    rising = sorted(numbers)
    firsts = [n for n in rising if n - 1 not in rising]
    lasts = [n for n in rising if n + 1 not in rising]
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in zip(firsts, lasts, strict=True))
