"""Set the knob of a point's method to the dearest setting that the point's budget allows."""

from dataclasses import dataclass, replace
from typing import Any, cast

from smoothbench.caching import Schedule, Trajectory
from smoothbench.caching.knobs import (
    Affordable,
    BudgetTooLow,
    HasKnob,
    KnowsShare,
    Range,
    dearest_within,
    settings_of,
    with_setting,
)
from smoothbench.caching.policy import DynamicPolicy, PlansOnBatch
from smoothbench.config.budgets import spec_at
from smoothbench.config.spec import Spec
from smoothbench.planning.budget_search import BudgetSearch
from smoothbench.planning.calibrated import checked
from smoothbench.planning.outcome import Outcome, Planning, fault, needs_curves
from smoothbench.planning.point_ids import Method
from smoothbench.storage.identity import describe
from smoothbench.storage.record_parts import Budget, CalibrationRef

TOLERANCE = 1e-9  # of shares that are computed in two ways


@dataclass(frozen=True)
class AtBudget:
    """A point's method and spec with the knob at the setting that was found, and what the record says of it.

    `calibration` names the file of a search on the calibration batch.
    """

    method: Any
    spec: Spec
    budget: Budget
    calibration: CalibrationRef | None = None


def at_budget(planning: Planning, method: Any, at: float, batch_size: int) -> AtBudget | Outcome:
    """Search for a method's setting at a share `at` of the uncached MACs; an `Outcome` says why there is none (yet).

    Args: batch_size, in which a method that decides at run time is searched on.
    """
    try:
        return _searched(planning, method, at, batch_size)
    except BudgetTooLow as error:
        return Outcome(unsupported=str(error))
    except Exception as error:
        return Outcome(planning_error=fault(error))


def searched_on_batch(method: Any, at: float | None) -> bool:
    """Tell whether runs of the calibration batch must show what the settings of a method's knob cost."""
    plans = isinstance(method, PlansOnBatch) and not isinstance(method, KnowsShare)
    return at is not None and isinstance(method, HasKnob) and (plans or isinstance(method, DynamicPolicy))


def settled(chosen: AtBudget, outcome: Outcome, trajectory: Trajectory) -> tuple[Outcome, Budget]:
    """Hold a plan against its budget; a plan that costs more than the method said is a failed point."""
    if not isinstance(outcome.policy, Schedule):
        return replace(outcome, calibration=chosen.calibration or outcome.calibration), chosen.budget
    share, at = trajectory.share(outcome.policy), chosen.budget.at
    if share > at + TOLERANCE:
        name = type(chosen.method).__name__
        error = (
            f"{name} says that it costs {chosen.budget.expected:.4f} of the MACs, but its plan {share:.4f}"
        )
        return replace(outcome, policy=None, planning_error=error), chosen.budget
    return outcome, replace(chosen.budget, expected=share)


def _searched(planning: Planning, method: Any, at: float, batch_size: int) -> AtBudget | Outcome:
    if not isinstance(method, HasKnob):
        return Outcome(
            unsupported=f"{type(method).__name__} has no knob, a parameter that sets its cost, so that it cannot be "
            f"set to at={at:g}: choose a method that has one, cache=fora for instance"
        )
    if searched_on_batch(method, at):
        return _on_batch(planning, method, at, batch_size)
    curves, planner = None, cast(Method, method)
    if needs_curves(planner):
        if (lacking := planning.without_weights(planner)) is not None:
            return Outcome(missing_weights=lacking)
        if (known := planning.curves()) is None:
            return Outcome(uncalibrated=True)
        curves = known[0]

    def share(setting: float) -> float:
        candidate: Any = with_setting(method, method.knob, setting)
        trajectory = planning.trajectory
        if isinstance(candidate, KnowsShare) and not trajectory.restarts:
            return candidate.share_at(trajectory, setting)
        return trajectory.share(checked(candidate, candidate.plan(trajectory, curves), trajectory))

    settings = settings_of(method, planning.trajectory, curves)
    return _set(planning, method, at, dearest_within(method.knob, settings, share, at))


def _on_batch(planning: Planning, method: HasKnob, at: float, batch_size: int) -> AtBudget | Outcome:
    if reason := planning.model.unavailable_reason:
        return Outcome(missing_weights=f"its {method.knob} is searched on a calibration batch, and {reason}")
    settings = settings_of(method, planning.trajectory)
    dearest = settings.dearest if isinstance(settings, Range) else settings[0]
    at_dearest = _set(planning, method, at, Affordable(dearest, 1.0))
    policy = describe(at_dearest.method, at_dearest.spec.policy)
    search = BudgetSearch(
        planning.spec,
        at,
        planning.solver,
        planning.trajectory,
        at_dearest.method,
        planning.predictor,
        planning.parts | {"policy": policy},
        batch_size if isinstance(method, DynamicPolicy) else None,
    )
    if (known := planning.calibrated.setting(search)) is None:
        return Outcome(uncalibrated=True)
    result, digest, file = known
    if result.setting is None:
        raise BudgetTooLow(method.knob, at, result.share)
    chosen = _set(planning, method, at, Affordable(result.setting, result.share))
    budget = replace(chosen.budget, search=result.spent)
    return replace(chosen, budget=budget, calibration=planning.reference(digest, file, None))


def _set(planning: Planning, method: HasKnob, at: float, chosen: Affordable) -> AtBudget:
    budget = Budget(at=at, knob=method.knob, setting=chosen.setting, expected=chosen.share)
    return AtBudget(
        with_setting(method, method.knob, chosen.setting),
        spec_at(planning.spec, method.knob, chosen.setting),
        budget,
    )
