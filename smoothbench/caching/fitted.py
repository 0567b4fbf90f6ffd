"""Fitted: whole evaluations are left out where the states of the recorded run can best be predicted across the gap."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from smoothbench.caching.at_level import AtLevel
from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.knobs import share_of_full
from smoothbench.caching.reference_run import FINE, UNCACHED, check_target, reference_run
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.trajectory import Trajectory
from smoothbench.caching.transitions import cheapest, transition_costs


@dataclass(frozen=True)
class Fitted(AtLevel):
    """Fitted computes everything at `full` evaluations, those from which the others can best be predicted.

    The calibration batch is recorded once, and for `target` "fine" once more with `substeps` for each step: then its
    states are those to be predicted. The solver's own coefficients are found by regression. The cost of a jump from one
    full evaluation to the next is the squared error of the recorded state there, predicted linearly from the state
    before the jump and the last two outputs; an exact dynamic programme finds the cheapest path. `ridge` is the price
    of leaving what the solver makes of the repeated output, as a share of each vector's square. The `last` evaluations
    are among the full ones: grain that only the denoiser removes counts little in squares. Its predictor is
    `StateMatching`. Raises ValueError for fewer than 2 full evaluations, and for other parameters out of range.
    """

    full: int
    ridge: float = 1e-6
    target: str = UNCACHED
    substeps: int = 4
    last: int = 0
    level: str = field(default="denoiser", kw_only=True)
    knob: ClassVar[str] = "full"
    gained: ClassVar[Mapping[str, Any]] = MappingProxyType({**AtLevel.gained, "last": 0})
    name = "fitted"
    version = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.full) is not int or self.full < 2:
            raise ValueError(f"Fitted's full must be a whole number from 2, not {self.full}")
        if type(self.last) is not int or not 0 <= self.last < self.full:
            raise ValueError(
                f"Fitted's last must be a whole number from 0 to {self.full - 1}, not {self.last!r:.60}"
            )
        check_ridge("Fitted", self.ridge)
        check_target("Fitted", self.target, self.substeps)

    def settings(self, trajectory: Trajectory) -> list[int]:
        """Return every number of full evaluations, the largest first."""
        return list(range(trajectory.evals, max(1, self.last), -1))

    def share_at(self, trajectory: Trajectory, setting: int) -> float:
        """Return the share of the uncached MACs that so many full evaluations cost, wherever they lie."""
        return share_of_full(trajectory, setting)

    def plan_on(self, trajectory: Trajectory, batch: BatchRuns) -> Schedule:
        """Plan on the recorded run; ValueError for more full evaluations than there are."""
        evals = trajectory.evals
        if self.full > evals:
            raise ValueError(f"fitted cannot place full={self.full} full evaluations among {evals}")
        full = tuple(range(evals)) if self.full == evals else self._place(batch)
        meta = {"method": self.name, "full": self.full, "ridge": self.ridge, "target": self.target}
        if self.target == FINE:
            meta["substeps"] = self.substeps
        if self.last:
            meta["last"] = self.last
        return Schedule.steps(trajectory.sites, [e in full for e in range(evals)], meta)

    def _place(self, batch: BatchRuns) -> tuple[int, ...]:
        reference = reference_run(batch, self.target, self.substeps)
        costs = transition_costs(reference.run, reference.solver, self.ridge)
        return cheapest(costs, self.full, self.last)


def check_ridge(name: str, ridge: float) -> None:
    """Raise ValueError, naming the class, unless `ridge` is a number from 0."""
    if not (isinstance(ridge, int | float) and 0 <= ridge < float("inf")):
        raise ValueError(f"{name}'s ridge must be a finite number from 0, not {ridge!r:.60}")
