"""Fit the rule of a method that decides at run time to the calibration batch, before it decides."""

from dataclasses import dataclass
from typing import Any

from smoothbench.caching.policy import FitsOnBatch
from smoothbench.planning.calibrated import BatchPlanning
from smoothbench.planning.outcome import Outcome, Planning, fault
from smoothbench.protocols import Config
from smoothbench.storage.record_parts import CalibrationRef


@dataclass(frozen=True)
class FittedRule:
    """A method with the numbers that were fitted, and the file that holds these."""

    method: Any
    calibration: CalibrationRef


def fitted_rule(planning: Planning, method: FitsOnBatch) -> FittedRule | Outcome:
    """Fit a method's rule, or take what was fitted before; an `Outcome` says why there is nothing (yet).

    Whatever the method's knob, the numbers are the same.
    """
    if reason := planning.without_weights(method):
        return Outcome(missing_weights=reason)
    parts = {part: planning.parts[part] for part in ("model", "solver")}
    parts["policy"] = _without(method.knob, planning.parts["policy"])
    try:
        job = BatchPlanning(
            planning.spec, planning.solver, planning.trajectory, method, planning.predictor, parts
        )
        if (known := planning.calibrated.plan(job)) is None:
            return Outcome(uncalibrated=True)
        plan, digest, file = known
        assert plan.numbers is not None
        return FittedRule(method.fitted(plan.numbers), planning.reference(digest, file, None))
    except Exception as error:
        return Outcome(planning_error=fault(error))


def _without(knob: str, described: Config) -> Config:
    """A method's description without its knob, which may be that of a method inside it."""
    name, _, inner = knob.partition(".")
    parameters = dict(described["parameters"])
    value = parameters.pop(name)
    return {**described, "parameters": parameters | ({name: _without(inner, value)} if inner else {})}
