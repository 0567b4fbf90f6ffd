"""What a point is made of, described: its ids follow from that, and its record holds it."""

from collections.abc import Mapping, Sequence
from typing import Any

from smoothbench.caching import Schedule, Site
from smoothbench.caching.policy import DynamicPolicy, PlansOnBatch, Policy
from smoothbench.caching.predictor import Predictor
from smoothbench.config.spec import Spec
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.protocols import Config, Model, Solver
from smoothbench.storage.identity import describe, describe_model, identity

Method = Policy | PlansOnBatch | DynamicPolicy


def described(spec: Spec, model: Model, solver: Solver, predictor: Predictor, method: Method) -> Config:
    """Model, solver, predictor and policy of a point, each by name, version and parameters.

    Of a policy that plans, and has no version, the source does not count: its schedule's bits say all. That of one
    that plans on the calibration batch does, as its plan is kept.
    """
    return {
        "model": describe_model(model),
        "solver": describe(solver, spec.solver),
        "predictor": describe(predictor, spec.predictor),
        "policy": described_policy(method, spec),
    }


def described_policy(method: Method, spec: Spec) -> Config:
    """Describe a point's method by name, version and parameters; see `described`."""
    return describe(method, spec.policy, by_source=isinstance(method, DynamicPolicy | PlansOnBatch))


def recorded(parts: Config) -> Config:
    """What a record holds of it: it has the model's identity already."""
    return parts | {"model": {key: value for key, value in parts["model"].items() if key != "identity"}}


def decision_of(schedule: Schedule, sites: Sequence[Site], chosen: ChosenSites) -> Any:
    """Return a schedule as ids have it: its bits, and its sites where these are not the model's branches.

    A schedule that skips nothing is the same at every level.
    """
    named = chosen.named(sites)
    if named and not schedule.skipped_share and chosen.branch_names:
        return ["1" * len(chosen.branch_names)] * schedule.evals
    return {**named, "bits": schedule.bit_strings()} if named else schedule.bit_strings()


def point_ids(
    parts: Config,
    planned: Any,
    batch_size: int | None,
    seeds: Sequence[int],
    planned_on: Any,
    pair: str | None,
    at: float | None = None,
) -> tuple[str, str, str]:
    """The ids of a point's samples, of the point, and of the point without its seeds.

    Args: parts, as `described` has them; planned, its schedule as `decision_of` gives it, None where it decides at
    run time or could not be planned; batch_size, which counts at run time alone; planned_on, the digest of its curves,
    or how they are to be measured; pair, the samples that it is compared with; at, the share of
    the uncached MACs that it was given, if any: a point with the setting that this allows is another one.
    """
    seeds = list(seeds)
    sampler = {part: parts[part] for part in ("model", "solver")}
    decision = [parts["policy"], batch_size] if planned is None else planned
    bits = planned["bits"] if isinstance(planned, Mapping) else planned
    reuses = bits is None or any("0" in of_evaluation for of_evaluation in bits)
    # only a reused output has anything to do with the predictor
    cut = {**sampler, "decision": decision, "predictor": parts["predictor"] if reuses else None}
    method = {part: parts[part] for part in ("policy", "predictor")} | {"calibration": planned_on}
    method |= {} if at is None else {"at": at}
    sample_id = identity({**cut, "seeds": seeds})
    point_id = identity({**sampler, **method, "seeds": seeds, "sample_id": sample_id, "pair": pair})
    return sample_id, point_id, identity({**sampler, "decision": decision, **method})
