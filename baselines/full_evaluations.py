"""Static methods that are given a number of full evaluations, and search for where they lie best."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar

from smoothbench.caching import AtLevel, CalibrationBatch, Schedule, Trajectory


@dataclass(frozen=True)
class FullEvaluations(AtLevel):
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
        check_whole("full", self.full)

    def possible(self, evals: int, full: int) -> bool:
        """Return whether the method can place so many full evaluations, fewer than all, among `evals`."""
        raise NotImplementedError

    def place(self, trajectory: Trajectory, batch: CalibrationBatch) -> Sequence[int]:
        """Return the full evaluations, `full` of them, the first included."""
        raise NotImplementedError

    def settings(self, trajectory: Trajectory) -> list[int]:
        """Return every number of full evaluations that the method can place, the largest first."""
        evals = trajectory.evals
        return [evals, *(full for full in range(evals - 1, 0, -1) if self.possible(evals, full))]

    def share_at(self, trajectory: Trajectory, setting: int) -> float:
        """Return the share of the uncached MACs that so many full evaluations cost, wherever they lie."""
        full = [e < setting for e in range(trajectory.evals)]
        return trajectory.share(Schedule.steps(trajectory.sites, full))

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


def check_whole(parameter: str, value: object, least: int = 1) -> None:
    """Raise ValueError, naming the parameter, unless a value is a whole number from `least`."""
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{parameter} must be a whole number from {least}, not {value!r}")


def ranges(numbers: Sequence[int]) -> str:
    """Write whole numbers as ranges, `1, 8-14`."""
    rising = sorted(numbers)
    firsts = [n for n in rising if n - 1 not in rising]
    lasts = [n for n in rising if n + 1 not in rising]
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in zip(firsts, lasts, strict=True))
