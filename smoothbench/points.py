"""Points made ready to run: objects built, methods calibrated and planned, identities known."""

import logging
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from smoothbench.build import build_policy, build_predictor, build_solver
from smoothbench.caching import ErrorCurves, Schedule, Site, Trajectory, find_sites
from smoothbench.caching.cost import Macs, site_costs
from smoothbench.caching.policy import DynamicPolicy, Policy
from smoothbench.caching.predictor import Predictor
from smoothbench.calibrations import Calibrations
from smoothbench.errors import PointsFailed, UsageError, one_line
from smoothbench.identity import claim
from smoothbench.models.prompts import HELD
from smoothbench.point_code import described, point_ids, recorded_code
from smoothbench.storage.record_parts import CalibrationRef
from smoothbench.store import Store
from smoothbench.types import BLOCK, Config, Model, Settings, Solver, Spec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Point:
    """A spec with its parts; `policy` is None where it could not be planned: `failure` or `lacking` says why.

    What it is lacking are weights to calibrate on, without which a method has no schedule and so no cost.
    `cell_id` is the point without its seeds: what parts of one point and its seed blocks have in common.
    `calibration` says what it was planned on. `same_as` names the earlier point that has the same samples.
    `described` says what model, solver, predictor and policy are, `code` holds their versions and fingerprints.
    """

    spec: Spec
    solver: Solver
    predictor: Predictor
    trajectory: Trajectory
    policy: Schedule | DynamicPolicy | None
    sample_id: str
    point_id: str
    cell_id: str
    calibration: CalibrationRef | None = None
    failure: str | None = None
    lacking: str | None = None
    same_as: str | None = None
    code: Config = field(default_factory=dict)
    described: Config = field(default_factory=dict)

    @property
    def uncached(self) -> bool:
        """Computes everything on purpose."""
        policy = self.policy
        return (
            isinstance(policy, Schedule) and policy.meta.get("method") == "none" and not policy.skipped_share
        )

    @property
    def planned_calls(self) -> dict[str, int]:
        """Of each site the computed evaluations; of a dynamic or failed point, as if all were."""
        if isinstance(self.policy, Schedule):
            return self.policy.calls()
        return {site.name: self.trajectory.evals for site in self.trajectory.sites}

    @property
    def dynamic(self) -> bool:
        """Decides at run time, so that only its run tells its cost."""
        return isinstance(self.policy, DynamicPolicy)

    @property
    def planned_macs(self) -> int:
        """Cost per sample by the planned calls."""
        return round(self.trajectory.macs(self.planned_calls))


class Planner:
    """Builds and plans the points of an experiment on one loaded model."""

    def __init__(self, settings: Settings, model: Model, store: Store) -> None:
        self.settings, self.model, self.store = settings, model, store
        if hasattr(model, "prompts"):
            _check_blocks(settings, model)
        skeleton, call = model.skeleton()
        self._sites, self._rest = measured_sites(skeleton, call)
        self._names: dict[str, dict[str, type]] = {}  # of classes, by kind
        self._calibrations = Calibrations(model, self._sites, store, settings.force)

    def points(self) -> list[Point]:
        """All points in order; a point that repeats another's samples says so."""
        points: list[Point] = []
        first: dict[str, str] = {}
        for spec in self.settings.specs:
            point = self.point(spec, points[0].sample_id if points else None)
            if point.point_id in {earlier.point_id for earlier in points}:
                continue
            if point.policy is not None:
                name = first.setdefault(point.sample_id, point.spec.name)
                point = replace(point, same_as=None if name == point.spec.name else name)
            points.append(point)
        return points

    def point(self, spec: Spec, pair: str | None = None) -> Point:
        """Build and plan one point; UsageError where its configuration can be no method at all.

        `pair`: the samples that it is compared with.
        """
        where = f"points.{spec.name}"
        solver, trajectory = self.trajectory(spec)
        asked = build_policy(spec.cache, where)
        method = self._method(asked, spec, where)
        predictor = build_predictor(spec.predictor, where)
        calibration: CalibrationRef | None = None
        failure, lacking = None, None
        policy: Schedule | DynamicPolicy | None = None
        if isinstance(method, DynamicPolicy):
            policy = method
        elif method.needs_curves and self.model.missing:
            lacking = f"it is planned on error curves, and {self.model.missing}"
            log.warning("%s skipped: %s", spec.name, lacking)
        else:
            try:
                curves = None
                if method.needs_curves:
                    curves, file = self.curves(solver, spec)
                    found = {"digest": curves.digest(), "file": file, "spread": curves.spread()}
                    calibration = CalibrationRef.from_json({**spec.calibration, **found}, "calibration")
                policy = _planned(method, trajectory, curves)
            except PointsFailed:  # a full disk is no fault of the method
                raise
            except Exception as error:  # a method that cannot plan is a failed point: the others go on
                log.debug("", exc_info=True)
                failure = one_line(error)
        # without a plan all that is known of the calibration is what was asked for
        planned_on = (calibration.digest if calibration else None) if policy else spec.calibration
        parts = described(spec, self.model, solver, predictor, asked)
        for kind, part in {"solver": solver, "policy": asked, "predictor": predictor}.items():
            claim(self._names.setdefault(kind, {}), part, where)
        bits = rows(policy) if isinstance(policy, Schedule) else None
        batch_size = self.settings.batch_size if isinstance(policy, DynamicPolicy) else None
        seeds = (spec.seeds.start, spec.seeds.stop)
        ids = point_ids(parts, bits, batch_size, seeds, planned_on, pair)
        point = Point(spec, solver, predictor, trajectory, policy, *ids, calibration, failure, lacking)
        code = recorded_code(self.model, solver, predictor, method)
        return replace(point, code=code, described=parts)

    def trajectory(self, spec: Spec) -> tuple[Solver, Trajectory]:
        """A point's solver, and what static methods plan on."""
        solver = build_solver(spec.solver)
        if solver.prediction != self.model.prediction:
            raise UsageError(
                f"solver: {spec.solver['_target_'].rpartition('.')[2]} takes {solver.prediction}, and "
                f"{self.model.name} predicts {self.model.prediction}: leave solver=... out for the model's own"
            )
        return solver, Trajectory(self._sites, solver.coordinates, self._rest.total, self._rest.linear)

    def _method(self, method: Policy | DynamicPolicy, spec: Spec, where: str) -> Policy | DynamicPolicy:
        """The point's method; without weights to calibrate on, what was published of its schedule."""
        if isinstance(method, DynamicPolicy):
            return method
        if method.needs_curves and self.model.missing and spec.published:
            return build_policy(spec.published, f"{where}.published")
        return method

    def curves(self, solver: Solver, spec: Spec) -> tuple[ErrorCurves, str]:
        """Error curves for a point, and their file: from the store, or measured now on other seeds."""
        with self.store.explained():
            return self._calibrations.curves(solver, spec)


def _check_blocks(settings: Settings, model: Model) -> None:
    """UsageError where samples would take the prompts that calibrate and train, or these those of samples."""
    asked = [("seed", spec.seeds.start // BLOCK, False) for spec in settings.specs]
    asked += [("calibration.seed", spec.calibration["seed"], True) for spec in settings.specs]
    asked.append(("training.seed", settings.training["seed"], True))
    for key, block, held in asked:
        if (block >= HELD) != held:
            raise UsageError(
                f"{key}={block}: {model.name} keeps prompts for calibration and training, those of seed blocks from "
                f"{HELD} on: take a block {'from there on' if held else 'below'}"
            )


def _planned(method: Policy, trajectory: Trajectory, curves: ErrorCurves | None) -> Schedule:
    schedule = method.plan(trajectory, curves)
    if not isinstance(schedule, Schedule):
        raise TypeError(f"{type(method).__name__}.plan gives a {type(schedule).__name__}, not a Schedule")
    return schedule


def rows(schedule: Schedule) -> list[str]:
    """A schedule's bits, a string for each evaluation, `1` = computed."""
    return ["".join("1" if bit else "0" for bit in row) for row in schedule.computed]


def measured_sites(skeleton: nn.Module, call: Any) -> tuple[tuple[Site, ...], Macs]:
    """The sites of a denoiser with their costs, and the cost of the rest, for one sample's evaluation."""
    return site_costs(skeleton, find_sites(skeleton), call, samples=1)
