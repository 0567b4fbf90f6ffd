"""The code that a point's samples come from, for its identities and for its record."""

from smoothbench.build import source_of
from smoothbench.caching import Reuse, Schedule
from smoothbench.caching.policy import DynamicPolicy, Policy
from smoothbench.caching.predictor import Predictor
from smoothbench.source import code_of, version_or_source
from smoothbench.types import Config, Model, Solver, Spec

Method = Policy | DynamicPolicy


def recorded_code(model: Model, solver: Solver, predictor: Predictor, method: Method) -> Config:
    """Version and fingerprint of each part's class, as a record holds them."""
    parts = {"model": model, "solver": solver, "predictor": predictor, "policy": method}
    return {name: code_of(part) for name, part in parts.items()}


def deciding_code(
    spec: Spec,
    model: Model,
    solver: Solver,
    predictor: Predictor,
    policy: Schedule | DynamicPolicy | None,
) -> dict[str, str | int]:
    """What of the code decides a point's samples beside its parameters, by part.

    Of a model and a solver their version, unless it is the first: a contract test holds versions to the code.
    Of a method that decides at run time, and of a predictor that computes something, the source. A planned
    schedule needs no code, its bits say all; and `Reuse` has no arithmetic but counts by its version as a solver
    does, so that other edits of the predictors' file spare the samples of most points.
    """
    code = {"model": version_or_source(model), "solver": version_or_source(solver)}
    if isinstance(policy, DynamicPolicy):
        code["policy"] = source_of(spec.cache, policy)
    if not isinstance(policy, Schedule) or policy.skipped_share:
        reuses = type(predictor) is Reuse
        code["predictor"] = version_or_source(predictor) if reuses else source_of(spec.predictor, predictor)
    return {part: text for part, text in code.items() if text is not None}
