"""One point of an experiment, planned and ready to run."""

from dataclasses import dataclass, field

from smoothbench.caching import Schedule, Trajectory
from smoothbench.caching.policy import DynamicPolicy
from smoothbench.caching.predictor import Predictor
from smoothbench.config.spec import Spec
from smoothbench.protocols import Config, Solver
from smoothbench.storage.record_parts import Budget, CalibrationRef


@dataclass(frozen=True)
class Point:
    """One cell of an experiment: a spec with its solver, predictor and method built, and with its ids.

    `policy` is the schedule, or the method that decides at run time. It is None for one of four reasons: the error
    curves that the method plans on are `uncalibrated`, still to be measured; planning raised `planning_error`;
    `missing_weights` says why the model has no weights to calibrate on, so that there is no schedule and no cost; or
    `unsupported` says why method or predictor cannot be used here, so that the point is skipped.
    `cell_id` is the point without its seeds: parts of one point and its seed blocks have it in common.
    `calibration` says what the method was planned on; `plans_on_batch`, whether method or predictor run the model on
    the calibration batch for that. `budget` is the share of the uncached MACs that it was given, if any. `same_as`
    names the earlier point that has the same samples.
    `described` holds name, version and parameters of model, solver, predictor and policy, `code` their fingerprints.
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
    planning_error: str | None = None
    missing_weights: str | None = None
    unsupported: str | None = None
    uncalibrated: bool = False
    plans_on_batch: bool = False
    budget: Budget | None = None
    same_as: str | None = None
    code: Config = field(default_factory=dict)
    described: Config = field(default_factory=dict)

    @property
    def uncached(self) -> bool:
        """Whether the point computes everything on purpose."""
        policy = self.policy
        return (
            isinstance(policy, Schedule) and policy.meta.get("method") == "none" and not policy.skipped_share
        )

    @property
    def runs(self) -> bool:
        """Whether the point can be sampled, once its error curves are measured."""
        return self.planning_error is None and self.unsupported is None

    @property
    def planned_calls(self) -> dict[str, int]:
        """Evaluations at which each site is computed by the schedule: all of them where there is none."""
        if isinstance(self.policy, Schedule):
            return self.policy.calls()
        return {site.name: self.trajectory.evals for site in self.trajectory.sites}

    @property
    def dynamic(self) -> bool:
        """Whether the method decides at run time, so that only its run tells its cost."""
        return isinstance(self.policy, DynamicPolicy)

    @property
    def uncached_macs(self) -> int:
        """Cost of one sample where everything is computed, in MACs, attention included."""
        full = dict.fromkeys((site.name for site in self.trajectory.sites), self.trajectory.evals)
        return self.trajectory.cost(full).total

    @property
    def planned_macs(self) -> int:
        """Cost of one sample by the planned calls, in MACs, attention included."""
        return self.trajectory.cost(self.planned_calls).total
