"""Plan the method of a point: it gets its schedule, or a reason why there is none."""

import logging
from dataclasses import dataclass, replace
from typing import Any

from smoothbench.caching import Schedule, Trajectory, WeightedSum
from smoothbench.caching.policy import DynamicPolicy, FitsOnBatch, PlansOnBatch, Policy
from smoothbench.caching.predictor import Predictor
from smoothbench.config.spec import Spec
from smoothbench.errors import PointsFailed, one_line
from smoothbench.planning.calibrated import BatchPlanning, Calibrated, checked, runs_on_batch
from smoothbench.protocols import Config, Model, Solver
from smoothbench.storage.record_parts import CalibrationRef

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The result of planning a method: fields of `Point` that depend on it, and the weights of a fitted predictor."""

    policy: Schedule | DynamicPolicy | None = None
    calibration: CalibrationRef | None = None
    planning_error: str | None = None
    missing_weights: str | None = None
    unsupported: str | None = None
    uncalibrated: bool = False
    weights: WeightedSum | None = None

    @property
    def known(self) -> dict[str, Any]:
        """The fields that a `Point` has by the same names, apart from the policy."""
        names = ("calibration", "planning_error", "missing_weights", "unsupported", "uncalibrated")
        return {name: getattr(self, name) for name in names}

    def planned_on(self, spec: Spec) -> Any:
        """What an id says of the calibration: its digest; without a schedule all that is known, its configuration."""
        return spec.calibration if self.policy is None else self.calibration and self.calibration.digest


@dataclass(frozen=True)
class Planning:
    """All that the method of a point is planned with."""

    spec: Spec
    model: Model
    solver: Solver
    trajectory: Trajectory
    predictor: Predictor
    parts: Config
    calibrated: Calibrated

    def outcome(self, method: Policy | PlansOnBatch | DynamicPolicy) -> Outcome:
        """Plan a method; a method that cannot plan is a failed point, and the others go on."""
        if isinstance(method, DynamicPolicy) and not runs_on_batch(method, None):
            return Outcome(method)
        if reason := self._without_weights(method):
            return Outcome(missing_weights=reason)
        outcome = Outcome()
        try:
            if isinstance(method, DynamicPolicy):
                return self._fitted(method)
            curves = None
            if needs_curves(method):
                if (known := self.calibrated.curves(self.solver, self.spec, self.trajectory.sites)) is None:
                    return Outcome(uncalibrated=True)
                curves, file = known
                outcome = Outcome(
                    calibration=self._reference(curves.digest(), file, curves.between_sample_cv())
                )
            if not runs_on_batch(method, self.predictor):
                assert not isinstance(method, PlansOnBatch)
                return replace(outcome, policy=checked(method, method.plan(self.trajectory, curves)))
            planning = BatchPlanning(
                self.spec, self.solver, self.trajectory, method, self.predictor, self.parts, curves
            )
            if (planned := self.calibrated.plan(planning)) is None:
                return Outcome(uncalibrated=True)
            plan, digest, file = planned
            calibration = outcome.calibration or self._reference(digest, file, None)
            return Outcome(policy=plan.schedule, weights=plan.weights, calibration=calibration)
        except PointsFailed:  # a full disk is no fault of the method
            raise
        except Exception as error:
            log.debug("", exc_info=True)
            return replace(outcome, planning_error=one_line(error))

    def _fitted(self, method: DynamicPolicy) -> Outcome:
        """Fit the rule of a method that decides at run time; whatever its knob, the numbers are the same."""
        assert isinstance(method, FitsOnBatch)
        policy = self.parts["policy"]
        parameters = {key: value for key, value in policy["parameters"].items() if key != method.knob}
        parts = {part: self.parts[part] for part in ("model", "solver")}
        parts["policy"] = {**policy, "parameters": parameters}
        planning = BatchPlanning(self.spec, self.solver, self.trajectory, method, self.predictor, parts)
        if (planned := self.calibrated.plan(planning)) is None:
            return Outcome(uncalibrated=True)
        plan, digest, file = planned
        assert plan.numbers is not None
        return Outcome(method.fitted(plan.numbers), self._reference(digest, file, None))

    def _without_weights(self, method: Policy | PlansOnBatch | DynamicPolicy) -> str | None:
        """Why a method cannot be planned where the model has no weights; None where it can."""
        reason = self.model.unavailable_reason
        if reason and needs_curves(method):
            return f"it is planned on error curves, and {reason}"
        if reason and runs_on_batch(method, self.predictor):
            return f"it is planned on a calibration batch, and {reason}"
        return None

    def _reference(self, digest: str, file: str, between_sample_cv: float | None) -> CalibrationRef:
        measured: dict[str, Any] = {"digest": digest, "file": file, "spread": between_sample_cv}
        return CalibrationRef.from_json({**self.spec.calibration, **measured}, "calibration")


def needs_curves(method: Policy | PlansOnBatch | DynamicPolicy) -> bool:
    """Whether a method plans on error curves."""
    return not isinstance(method, DynamicPolicy | PlansOnBatch) and method.needs_curves
