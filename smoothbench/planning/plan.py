"""Planning: the specs of an experiment become points. The model is built, but never run."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from smoothbench.caching import ErrorCurves, Schedule, Trajectory
from smoothbench.caching.mac_counter import MeasuredSites
from smoothbench.caching.policy import DynamicPolicy, Policy
from smoothbench.config.declared_names import claim_name
from smoothbench.config.instantiate import build_policy, build_predictor, build_solver
from smoothbench.config.spec import Settings, Spec
from smoothbench.errors import PointsFailed, UsageError, one_line
from smoothbench.json_checks import is_text
from smoothbench.models.base.prompts import CALIBRATION_BLOCKS
from smoothbench.planning.point import Point
from smoothbench.planning.point_ids import described, point_ids, recorded_code
from smoothbench.protocols import BLOCK, Model, Prompted, Solver, Supports
from smoothbench.storage.record_parts import CalibrationRef

log = logging.getLogger(__name__)

Curves = tuple[ErrorCurves, str]  # error curves, and their file in the results folder
FindCurves = Callable[[Solver, Spec], Curves | None]  # of a point; None where they are still to be measured


def plan_points(
    settings: Settings, model: Model, sites: MeasuredSites, find_curves: FindCurves
) -> list[Point]:
    """Plan all points of an experiment in order, the reference first; a point with another's samples names that one.

    Raises UsageError where a configuration can be no method at all, and where two classes claim one name.
    """
    check_seed_blocks(settings, model)
    points: list[Point] = []
    names: dict[str, dict[str, type]] = {"solver": {}, "cache": {}, "predictor": {}}
    first: dict[str, str] = {}
    for spec in settings.specs:
        pair = points[0].sample_id if points else None
        point = plan_point(spec, model, sites, find_curves, settings.batch_size, pair, names)
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
    sites: MeasuredSites,
    find_curves: FindCurves,
    batch_size: int,
    pair: str | None = None,
    names: dict[str, dict[str, type]] | None = None,
) -> Point:
    """Build and plan one point; UsageError where its configuration can be no method at all.

    Args: batch_size, which is part of the ids of methods that decide at run time; pair, the id of the uncached
    samples that it is compared with; names, the classes that have claimed a name so far, by kind.
    """
    where = f"points.{spec.name}"
    solver, trajectory = trajectory_of(spec, model, sites)
    configured = build_policy(spec.policy, where)
    method = _substitute(configured, model, spec, where)
    predictor = build_predictor(spec.predictor, where)
    for group, part in {"solver": solver, "cache": configured, "predictor": predictor}.items():
        claim_name({} if names is None else names[group], part, group, where)
    if reason := _unsupported((configured, method, predictor), trajectory, model, where):
        outcome = _Outcome(unsupported=reason)
    else:
        outcome = _plan(method, spec, model, solver, trajectory, find_curves)
    # without a schedule all that is known of the calibration is how it was configured
    planned_on = (
        spec.calibration if outcome.policy is None else outcome.calibration and outcome.calibration.digest
    )
    parts = described(spec, model, solver, predictor, configured)
    bits = outcome.policy.bit_strings() if isinstance(outcome.policy, Schedule) else None
    ids = point_ids(
        parts,
        bits,
        batch_size if isinstance(outcome.policy, DynamicPolicy) else None,
        (spec.seeds.start, spec.seeds.stop),
        planned_on,
        pair,
    )
    code = recorded_code(model, solver, predictor, method)
    known = {each.name: getattr(outcome, each.name) for each in fields(outcome) if each.name != "policy"}
    return Point(
        spec, solver, predictor, trajectory, outcome.policy, *ids, **known, code=code, described=parts
    )


def trajectory_of(spec: Spec, model: Model, sites: MeasuredSites) -> tuple[Solver, Trajectory]:
    """Build the solver and the trajectory that static methods plan on; UsageError where they do not fit the model."""
    solver = build_solver(spec.solver)
    if solver.prediction != model.prediction:
        raise UsageError(
            f"solver: {spec.solver['_target_'].rpartition('.')[2]} takes {solver.prediction}, and "
            f"{model.name} predicts {model.prediction}: leave solver=... out for the model's own"
        )
    return solver, Trajectory.over(sites, solver.coordinates)


@dataclass(frozen=True)
class _Outcome:
    """The result of planning a method: the fields of `Point` that depend on it."""

    policy: Schedule | DynamicPolicy | None = None
    calibration: CalibrationRef | None = None
    planning_error: str | None = None
    missing_weights: str | None = None
    unsupported: str | None = None
    uncalibrated: bool = False


def _plan(
    method: Policy | DynamicPolicy,
    spec: Spec,
    model: Model,
    solver: Solver,
    trajectory: Trajectory,
    find_curves: FindCurves,
) -> _Outcome:
    """Plan a method; a method that cannot plan is a failed point, and the others go on."""
    if isinstance(method, DynamicPolicy):
        return _Outcome(method)
    if method.needs_curves and model.unavailable_reason:
        return _Outcome(missing_weights=f"it is planned on error curves, and {model.unavailable_reason}")
    outcome, curves = _Outcome(), None
    try:
        if method.needs_curves:
            if (known := find_curves(solver, spec)) is None:
                return _Outcome(uncalibrated=True)
            curves, file = known
            measured = {"digest": curves.digest(), "file": file, "spread": curves.between_sample_cv()}
            outcome = _Outcome(
                calibration=CalibrationRef.from_json({**spec.calibration, **measured}, "calibration")
            )
        return replace(outcome, policy=_schedule(method, trajectory, curves))
    except PointsFailed:  # a full disk is no fault of the method
        raise
    except Exception as error:
        log.debug("", exc_info=True)
        return replace(outcome, planning_error=one_line(error))


def _unsupported(parts: Sequence[Any], trajectory: Trajectory, model: Model, where: str) -> str | None:
    """Return why a part of a point cannot be used on a trajectory or a model; None where all can.

    Raises UsageError where what `supports` returns is neither None nor a line of text.
    """
    for part in parts:
        reason = part.supports(trajectory, model) if isinstance(part, Supports) else None
        if reason is not None and not (is_text(reason) and reason):
            raise UsageError(
                f"{where}: {type(part).__name__}.supports gives {reason!r:.60}: None, or in one line why not"
            )
        if reason is not None:
            return reason
    return None


def _schedule(method: Policy, trajectory: Trajectory, curves: ErrorCurves | None) -> Schedule:
    schedule = method.plan(trajectory, curves)
    if not isinstance(schedule, Schedule):
        raise TypeError(f"{type(method).__name__}.plan gives a {type(schedule).__name__}, not a Schedule")
    return schedule


def _substitute(
    method: Policy | DynamicPolicy, model: Model, spec: Spec, where: str
) -> Policy | DynamicPolicy:
    """Return the configured method, or its published schedule, if any, where there are no weights to calibrate on."""
    if isinstance(method, DynamicPolicy) or not (
        method.needs_curves and model.unavailable_reason and spec.published
    ):
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
