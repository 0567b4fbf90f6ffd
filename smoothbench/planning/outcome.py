"""Plan the method of a point: it gets its schedule, or a reason why there is none."""

import logging
from dataclasses import dataclass, replace
from typing import Any

from smoothbench.caching import Schedule, Trajectory
from smoothbench.caching.binding import Fitting
from smoothbench.caching.policy import DynamicPolicy, PlansOnBatch, Policy
from smoothbench.caching.predictor import Predictor
from smoothbench.caching.saved_weights import SavedWeights
from smoothbench.config.instantiate import SAVED
from smoothbench.config.spec import Spec
from smoothbench.errors import PointsFailed, named
from smoothbench.planning.calibrated import BatchPlanning, Calibrated, Curves, checked, runs_on_batch
from smoothbench.planning.made_for import check_made_for
from smoothbench.protocols import Config, Model, Solver
from smoothbench.storage.record_parts import CalibrationRef

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The result of planning a method: fields of `Point` that depend on it.

    `weights` are those of a predictor that was fitted, or that the schedule's file holds.
    """

    policy: Schedule | DynamicPolicy | None = None
    calibration: CalibrationRef | None = None
    planning_error: str | None = None
    missing_weights: str | None = None
    unsupported: str | None = None
    uncalibrated: bool = False
    weights: SavedWeights | None = None

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
        if isinstance(method, DynamicPolicy):
            return self._at_run_time(method)
        if reason := self.without_weights(method):
            return Outcome(missing_weights=reason)
        outcome = Outcome()
        try:
            curves = None
            if needs_curves(method):
                if (known := self.curves()) is None:
                    return Outcome(uncalibrated=True)
                curves, file = known
                outcome = Outcome(
                    calibration=self.reference(curves.digest(), file, curves.between_sample_cv())
                )
            if not runs_on_batch(method, self.predictor):
                assert not isinstance(method, PlansOnBatch)
                schedule = checked(method, method.plan(self.trajectory, curves), self.trajectory)
                check_made_for(schedule.meta, self.parts)
                weights = schedule.weights if self.spec.predictor == SAVED else None
                return replace(outcome, policy=replace(schedule, weights=None), weights=weights)
            planning = BatchPlanning(
                self.spec, self.solver, self.trajectory, method, self.predictor, self.parts, curves
            )
            if (planned := self.calibrated.plan(planning)) is None:
                return Outcome(uncalibrated=True)
            plan, digest, file = planned
            if plan.schedule is not None:
                check_made_for(plan.schedule.meta, self.parts)
            calibration = outcome.calibration or self.reference(digest, file, None)
            return Outcome(policy=plan.schedule, weights=plan.weights, calibration=calibration)
        except Exception as error:
            return replace(outcome, planning_error=fault(error))

    def curves(self) -> Curves | None:
        """Return the point's error curves and their file; None where they are still to be measured."""
        return self.calibrated.curves(self.solver, self.spec, self.trajectory.sites)

    def _at_run_time(self, method: DynamicPolicy) -> Outcome:
        """A method that decides at run time has no schedule to which a predictor could be fitted."""
        if not isinstance(self.predictor, Fitting):
            return Outcome(method)
        predictor, name = type(self.predictor).__name__, type(method).__name__
        reason = (
            f"{predictor} is fitted to a schedule, and {name} decides at run time: take another predictor"
        )
        return Outcome(unsupported=reason)

    def without_weights(self, method: Policy | PlansOnBatch | DynamicPolicy) -> str | None:
        """Say why a method cannot be planned where the model has no weights; None where it can."""
        reason = self.model.unavailable_reason
        if reason and needs_curves(method):
            return f"it is planned on error curves, and {reason}"
        if reason and runs_on_batch(method, self.predictor):
            return f"it is planned on a calibration batch, and {reason}"
        return None

    def reference(self, digest: str, file: str, between_sample_cv: float | None) -> CalibrationRef:
        """Return what a record says of a measurement on the calibration batch, by the digest of its file."""
        measured: dict[str, Any] = {"digest": digest, "file": file, "spread": between_sample_cv}
        return CalibrationRef.from_json({**self.spec.calibration, **measured}, "calibration")


def fault(error: Exception) -> str:
    """Return, in one line, why planning failed; raises what is no fault of the method: a full disk."""
    if isinstance(error, PointsFailed):
        raise error
    log.debug("", exc_info=error)
    return named(error)


def needs_curves(method: Policy | PlansOnBatch | DynamicPolicy) -> bool:
    """Whether a method plans on error curves."""
    return not isinstance(method, DynamicPolicy | PlansOnBatch) and method.needs_curves
