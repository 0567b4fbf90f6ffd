"""Where planning gets what is measured on the calibration batch: error curves, and plans that are made on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from smoothbench.caching import CalibrationBatch, ErrorCurves, Schedule, Site, Trajectory, WeightedSum
from smoothbench.caching.binding import Fitting
from smoothbench.caching.policy import FitsOnBatch, PlansOnBatch, Policy
from smoothbench.caching.predictor import Predictor
from smoothbench.config.spec import Spec
from smoothbench.planning.budget_search import BudgetSearch, SearchedSetting
from smoothbench.protocols import Config, Solver

Curves = tuple[ErrorCurves, str]  # error curves, and their file in the results folder


@dataclass(frozen=True)
class BatchPlan:
    """What was planned on the calibration batch: a schedule, and the weights of a predictor that was fitted to it.

    Of a method that decides at run time there is no schedule: `numbers` are those that its rule was fitted with, and
    `planning` what that cost.
    """

    schedule: Schedule | None = None
    weights: WeightedSum | None = None
    numbers: Mapping[str, Any] | None = None
    planning: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class BatchPlanning:
    """The planning of a point whose method, predictor or both run on the calibration batch.

    `parts` describe model, solver, predictor and policy; with the calibration they identify the plan.
    """

    spec: Spec
    solver: Solver
    trajectory: Trajectory
    method: Policy | PlansOnBatch | FitsOnBatch
    predictor: Predictor
    parts: Config
    curves: ErrorCurves | None = None

    def plan(self, batch: CalibrationBatch) -> BatchPlan:
        """Plan the schedule, fit the predictor, and note what that cost."""
        if isinstance(self.method, FitsOnBatch):
            numbers = self.method.fit_on(self.trajectory, batch)
            return BatchPlan(numbers=numbers, planning=dict(vars(batch.spent)))
        if isinstance(self.method, PlansOnBatch):
            schedule = checked(self.method, self.method.plan_on(self.trajectory, batch), self.trajectory)
        else:
            schedule = checked(self.method, self.method.plan(self.trajectory, self.curves), self.trajectory)
        fitting: Any = self.predictor
        weights = fitting.fit(schedule, batch) if isinstance(fitting, Fitting) else None
        return BatchPlan(
            replace(schedule, meta={**schedule.meta, "planning": dict(vars(batch.spent))}), weights
        )


def runs_on_batch(method: Any, predictor: Any) -> bool:
    """Whether a method plans or is fitted, or a predictor is fitted, on the calibration batch."""
    if isinstance(method, FitsOnBatch):
        return not method.is_fitted
    return isinstance(method, PlansOnBatch) or isinstance(predictor, Fitting)


def checked(method: Any, schedule: Schedule, trajectory: Trajectory) -> Schedule:
    """Return what a method planned, all computed where another network begins; TypeError where it is no schedule."""
    if not isinstance(schedule, Schedule):
        raise TypeError(f"{type(method).__name__} plans a {type(schedule).__name__}, not a Schedule")
    return trajectory.restarted(schedule)


class Calibrated(Protocol):
    """Has what was measured on the calibration batch; None stands for what is still to be measured."""

    def curves(self, solver: Solver, spec: Spec, sites: Sequence[Site]) -> Curves | None:
        """Return a point's error curves and their file."""
        ...

    def plan(self, planning: BatchPlanning) -> tuple[BatchPlan, str, str] | None:
        """Return what was planned on the batch, the digest of it, and its file."""
        ...

    def setting(self, search: BudgetSearch) -> tuple[SearchedSetting, str, str] | None:
        """Return the setting that a search on the batch has found, the digest of its file, and the file."""
        ...


class Uncalibrated:
    """A `Calibrated` that has nothing: all is still to be measured."""

    def curves(self, solver: Solver, spec: Spec, sites: Sequence[Site]) -> Curves | None:
        """Return None."""
        return None

    def plan(self, planning: BatchPlanning) -> tuple[BatchPlan, str, str] | None:
        """Return None."""
        return None

    def setting(self, search: BudgetSearch) -> tuple[SearchedSetting, str, str] | None:
        """Return None."""
        return None
