"""Planning: the specs of an experiment become points. The model is built, but never run."""

from dataclasses import dataclass, replace
from typing import Any, cast

from smoothbench.caching import Schedule, Trajectory
from smoothbench.caching.mac_counter import MeasuredSites
from smoothbench.caching.policy import DynamicPolicy, FitsOnBatch
from smoothbench.caching.predictor import Predictor
from smoothbench.config.instantiate import (
    SAVED,
    build_policy,
    build_predictor,
    build_solver,
    rehearsed,
)
from smoothbench.config.spec import Settings, Spec
from smoothbench.errors import UsageError, one_line
from smoothbench.json_checks import is_text
from smoothbench.models.base.prompts import CALIBRATION_BLOCKS
from smoothbench.planning.at_budget import at_budget, searched_on_batch, settled
from smoothbench.planning.calibrated import Calibrated, runs_on_batch
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.planning.fit_rule import fitted_rule
from smoothbench.planning.outcome import Outcome, Planning, fault, needs_curves
from smoothbench.planning.point import Point
from smoothbench.planning.point_ids import Method, decision_of, described, described_policy, point_ids
from smoothbench.planning.used_classes import UsedClasses
from smoothbench.protocols import BLOCK, Config, Model, Prompted, Solver, Supports, SwitchesNetworks
from smoothbench.storage.identity import describe
from smoothbench.storage.record_parts import Budget


def plan_points(settings: Settings, model: Model, sites: ChosenSites, calibrated: Calibrated) -> list[Point]:
    """Plan all points of an experiment in order, the reference first; a point with another's samples names that one.

    Raises UsageError where a configuration can be no method at all, and where two classes claim one name.
    """
    check_seed_blocks(settings, model)
    points: list[Point] = []
    classes = UsedClasses()
    first: dict[str, str] = {}
    for spec in settings.specs:
        pair = points[0].sample_id if points else None
        point = plan_point(spec, model, sites, calibrated, settings.batch_size, pair, classes)
        if point.point_id in {earlier.point_id for earlier in points}:
            continue
        if spec.reference and point.unsupported:
            raise UsageError(f"reference: {point.unsupported}: every point is paired with it")
        if point.policy is not None:
            name = first.setdefault(point.sample_id, point.spec.name)
            point = replace(point, same_as=None if name == point.spec.name else name)
        points.append(point)
    return points


def plan_point(
    spec: Spec,
    model: Model,
    sites: ChosenSites,
    calibrated: Calibrated,
    batch_size: int,
    pair: str | None = None,
    classes: UsedClasses | None = None,
) -> Point:
    """Build and plan one point; UsageError where its configuration can be no method at all.

    Args: batch_size, which is part of the ids of methods that decide at run time; pair, the id of the uncached
    samples that it is compared with; classes, those that the points before it use.
    """
    where, solver = spec.where, fitting_solver(spec, model)
    configured = build_policy(spec.policy, where)
    method = _substitute(configured, model, spec, where) if spec.at is None else configured
    predictor = build_predictor(spec.predictor, where)
    classes = UsedClasses() if classes is None else classes
    classes.claim({"solver": solver, "cache": configured, "predictor": predictor}, where)
    parts = described(spec, model, solver, predictor, configured)
    trajectory, reason = _trajectory(sites, method, solver)
    planning = Planning(spec, model, solver, trajectory, predictor, parts, calibrated)
    planned = _supported(planning, (configured, method, predictor), reason, batch_size)
    outcome, spec, parts = planned.outcome, planned.spec, planned.described
    schedule = outcome.policy if isinstance(outcome.policy, Schedule) else None
    ids = point_ids(
        parts,
        schedule and decision_of(schedule, trajectory.sites, sites),
        batch_size if isinstance(outcome.policy, DynamicPolicy) else None,
        (spec.seeds.start, spec.seeds.stop),
        outcome.planned_on(spec),
        pair,
        spec.at,
    )
    return Point(
        spec,
        solver,
        predictor if outcome.weights is None else cast(Predictor, outcome.weights),
        trajectory,
        outcome.policy,
        *ids,
        **outcome.known,
        plans_on_batch=runs_on_batch(method, predictor) or searched_on_batch(method, spec.at),
        budget=planned.budget,
        code=classes.code({"model": model, "solver": solver, "predictor": predictor, "policy": method}),
        described=parts,
    )


@dataclass(frozen=True)
class _Planned:
    """A planned method, with the spec and the parts that have its knob at the setting which a budget allows."""

    outcome: Outcome
    spec: Spec
    parts: Config
    budget: Budget | None = None

    @property
    def described(self) -> Config:
        """The parts; a predictor that was fitted has a digest, and one from a schedule's file is the weights there."""
        if self.outcome.weights is None:
            return self.parts
        if self.spec.predictor == SAVED:
            return self.parts | {"predictor": describe(self.outcome.weights)}
        fitted = self.parts["predictor"] | {"digest": self.outcome.weights.digest}
        return self.parts | {"predictor": fitted}


def _supported(
    planning: Planning, parts: tuple[Method, Method, Predictor], reason: str | None, batch_size: int
) -> _Planned:
    """Plan a method where all parts can be used; a mistake in the `supports` of a plug-in fails this point alone."""
    spec, method = planning.spec, parts[1]
    try:
        reason = reason or _unsupported(parts, planning.trajectory, planning.model, spec.where)
    except UsageError:
        raise
    except Exception as error:
        return _Planned(Outcome(planning_error=fault(error)), spec, dict(planning.parts))
    return _planned(planning, method, reason, batch_size)


def _planned(planning: Planning, method: Method, reason: str | None, batch_size: int) -> _Planned:
    """Plan a method, at the setting of its knob that its point's budget allows; `reason` is why it cannot be used."""
    spec, parts = planning.spec, dict(planning.parts)
    if reason is not None:
        return _Planned(Outcome(unsupported=reason), spec, parts)
    if isinstance(method, FitsOnBatch) and not method.is_fitted:
        rule = fitted_rule(planning, method)
        if isinstance(rule, Outcome):
            return _Planned(rule, spec, parts, None if spec.at is None else Budget(at=spec.at))
        parts["policy"] = described_policy(rule.method, spec)
        planned = _planned(replace(planning, parts=parts), rule.method, None, batch_size)
        return replace(planned, outcome=replace(planned.outcome, calibration=rule.calibration))
    if spec.at is None:
        return _Planned(planning.outcome(method), spec, parts)
    chosen = at_budget(planning, method, spec.at, batch_size)
    if isinstance(chosen, Outcome):
        return _Planned(chosen, spec, parts, Budget(at=spec.at))
    parts["policy"] = described_policy(chosen.method, chosen.spec)
    outcome = replace(planning, spec=chosen.spec, parts=parts).outcome(chosen.method)
    outcome, budget = settled(chosen, outcome, planning.trajectory)
    return _Planned(outcome, chosen.spec, parts, budget)


def _trajectory(sites: ChosenSites, method: Any, solver: Solver) -> tuple[Trajectory, str | None]:
    """What a method plans on, or, where the model does not have the sites that it chooses, why not."""
    restarts = solver.restarts if isinstance(solver, SwitchesNetworks) else ()
    try:
        return replace(sites.trajectory(method, solver.coordinates), restarts=restarts), None
    except ValueError as error:
        return Trajectory((), solver.coordinates), one_line(error)


def fitting_solver(spec: Spec, model: Model) -> Solver:
    """Build the solver of a point; UsageError where it does not take what the model predicts."""
    solver = build_solver(spec.solver)
    if solver.prediction != model.prediction:
        raise UsageError(
            f"solver: {spec.solver['_target_'].rpartition('.')[2]} takes {solver.prediction}, and "
            f"{model.name} predicts {model.prediction}: leave solver=... out for the model's own"
        )
    return rehearsed(solver, model)


def trajectory_of(spec: Spec, model: Model, sites: MeasuredSites) -> tuple[Solver, Trajectory]:
    """Build the solver and the trajectory over these sites; UsageError where the solver does not fit the model."""
    solver = fitting_solver(spec, model)
    return solver, Trajectory.over(sites, solver.coordinates)


def _unsupported(
    parts: tuple[Method, Method, Predictor], trajectory: Trajectory, model: Model, where: str
) -> str | None:
    """Return why a part of a point cannot be used on a trajectory or a model; None where all can.

    Args: parts, the method as it is configured and as it is planned, and the predictor. Raises UsageError
    where what `supports` returns is neither None nor a line of text.
    """
    for part in parts:
        reason = part.supports(trajectory, model) if isinstance(part, Supports) else None
        if reason is not None and not (is_text(reason) and reason):
            raise UsageError(
                f"{where}: {type(part).__name__}.supports gives {reason!r:.60}: None, or in one line why not"
            )
        if reason is not None:
            return reason
    _, method, predictor = parts
    return _across_networks(method, predictor, trajectory, model)


def _across_networks(
    method: Method, predictor: Predictor, trajectory: Trajectory, model: Model
) -> str | None:
    """Return why a method cannot be used where the denoiser's weights change on the way; None where it can."""
    if not trajectory.restarts or not (isinstance(method, DynamicPolicy) or runs_on_batch(method, predictor)):
        return None
    return (
        f"{model.name} has two networks, from evaluation {trajectory.restarts[0]} on the second one, and only "
        "schedules that are planned without running it are cut there: set model.component to cache one of them"
    )


def _substitute(method: Method, model: Model, spec: Spec, where: str) -> Method:
    """Return the configured method, or its published schedule, if any, where there are no weights to calibrate on."""
    if not (needs_curves(method) and model.unavailable_reason and spec.published):
        return method
    return build_policy(spec.published, f"{where}.published")


def check_seed_blocks(settings: Settings, model: Model) -> None:
    """Raise UsageError where samples would take prompts that are kept for calibration and training, or these others."""
    if not isinstance(model, Prompted):
        return
    blocks = [("seed", spec.seeds.start // BLOCK, False) for spec in settings.specs]
    blocks += [("calibration.seed", spec.calibration["seed"], True) for spec in settings.specs]
    blocks.append(("training.seed", settings.training["seed"], True))
    for key, block, is_training in blocks:
        if (block >= CALIBRATION_BLOCKS) != is_training:
            raise UsageError(
                f"{key}={block}: {model.name} keeps prompts for calibration and training, those of seed blocks from "
                f"{CALIBRATION_BLOCKS} on: take a block {'from there on' if is_training else 'below'}"
            )
