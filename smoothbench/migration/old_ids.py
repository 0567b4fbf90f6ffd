"""Compute the ids of records of schema 2 again from a record's content, and the ids that it has now.

They were hashes of configuration nodes, import paths included, and of the code of classes without a version. A record
whose ids do not come out again was not made by that rule, or its content has changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from hydra.utils import get_object

from smoothbench.caching.policy import DynamicPolicy
from smoothbench.caching.predictor import Reuse
from smoothbench.config.instantiate import build_policy, build_predictor, build_solver
from smoothbench.config.moved import moved
from smoothbench.errors import one_line
from smoothbench.planning.point_ids import point_ids
from smoothbench.protocols import Config
from smoothbench.storage.code_fingerprint import fingerprint, version_of
from smoothbench.storage.identity import describe, identity, name_of, source_of

OldRecord = Mapping[str, Any]  # a record of schema 2, as its file has it
Ids = tuple[str, str, str]  # sample_id, point_id, cell_id
Code = dict[str, str | int]  # versions and fingerprints that were part of an id
LARGEST = 4096  # largest batch size that is tried where the record does not tell it


class Unproven(ValueError):
    """The content of a record or a file does not lead to its id."""


@dataclass(frozen=True)
class Proven:
    """The inputs from which a record's ids came out again."""

    code: Code
    described: Config
    batch_size: int | None
    planned_on: Any
    dynamic: bool  # the batch size is now part of the ids of dynamic policies alone


def old_ids(
    record: OldRecord,
    code: Code,
    batch: int | None,
    planned_on: Any,
    seeds: Sequence[int],
    baseline_id: str | None,
) -> Ids:
    """Compute the ids by the rule of schema 2."""
    config, schedule = record["config"], bits(record)
    model = {"model": record["model"], "solver": config["solver"]} | ({"code": code} if code else {})
    reuses = schedule is None or any("0" in computed for computed in schedule)
    decision = [config["cache"], batch] if schedule is None else schedule
    sampled = {**model, "decision": decision, "predictor": record["predictor"] if reuses else None}
    method = {"cache": config["cache"], "predictor": record["predictor"], "calibration": planned_on}
    sample_id = identity({**sampled, "seeds": list(seeds)})
    point_id = identity(
        {**model, "seeds": list(seeds), **method, "sample_id": sample_id, "pair": baseline_id}
    )
    return sample_id, point_id, identity({**sampled, **method})


def new_ids(record: OldRecord, proven: Proven, seeds: Sequence[int], baseline_id: str | None) -> Ids:
    """Compute the ids that a proven record has by the present rule."""
    batch_size = proven.batch_size if proven.dynamic else None
    return point_ids(proven.described, bits(record), batch_size, seeds, proven.planned_on, baseline_id)


def prove(record: OldRecord) -> Proven:
    """Find the inputs from which a record's ids come out again; Unproven, with the reason, where there are none."""
    try:
        plugins = _Plugins(record)
    except (ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise Unproven(f"its parts cannot be built again ({one_line(error)})") from error
    seeds = record["seeds"][0]
    for code in plugins.codes():
        for batch in _batches(record, plugins.dynamic):
            if old_ids(record, code, batch, None, seeds, None)[0] != record["sample_id"]:
                continue
            for planned_on in _calibrations(record, plugins.dynamic):
                if old_ids(record, code, batch, planned_on, seeds, None)[2] == record["cell_id"]:
                    return Proven(code, plugins.described(code), batch, planned_on, plugins.dynamic)
    raise Unproven("its ids do not come out again from its content and the code as it is")


def bits(record: OldRecord) -> list[str] | None:
    """Return the strings of bits of a record's schedule, one per evaluation; None where it has no schedule."""
    return list(record["schedule"]["rows"]) if record["schedule"] else None


class _Plugins:
    """The model class, solver, policy and predictor that a record's nodes name, built again."""

    def __init__(self, record: OldRecord) -> None:
        config, self.record = moved(record["config"]), record
        self.model: type = get_object(config["model"]["_target_"])
        self.solver = build_solver(config["solver"])
        self.policy = build_policy(config["cache"], "cache")
        self.predictor = build_predictor(record["predictor"], "predictor")
        self.dynamic = isinstance(self.policy, DynamicPolicy)

    def codes(self) -> Iterator[Code]:
        """Yield the codes that the ids may hold: none in the first records, later versions and fingerprints."""
        yield {}
        recorded = self.record.get("code") or {}
        choices = {
            kind: [*self._choices(kind, recorded.get(kind, {}))]
            for kind in ("model", "solver", "policy", "predictor")
        }
        for chosen in product(*choices.values()):
            code = {kind: text for kind, text in zip(choices, chosen, strict=True) if text is not None}
            if code:
                yield code

    def _choices(self, kind: str, recorded: Mapping[str, Any]) -> Iterator[str | int | None]:
        yield None
        if kind == "policy":
            if self.dynamic:
                yield source_of(moved(self.record["config"]["cache"]), self.policy)
        elif kind == "predictor" and type(self.predictor) is not Reuse:
            # for a class with a version the recorded fingerprint; otherwise the present one, if its code is unchanged
            yield (
                recorded.get("source")
                if version_of(self.predictor)
                else source_of(moved(self.record["predictor"]), self.predictor)
            )
        elif recorded.get("version") is not None:
            yield recorded["version"]
        else:
            yield fingerprint(self.model if kind == "model" else type(self.solver))

    def described(self, code: Code) -> Config:
        """Describe the plug-ins as `planning.point_ids.described` does, in the versions that the ids hold."""
        config = self.record["config"]
        solver = describe(self.solver, config["solver"])
        name = name_of(self.model)
        kind = {"class": self.model.__qualname__} if name is None else {"kind": name}
        versioned = version_of(self.model) is not None
        edition = {"version": code.get("model", 1)} if versioned else {"source": fingerprint(self.model)}
        if "version" in solver:
            solver["version"] = code.get("solver", 1)
        predictor = describe(self.predictor, self.record["predictor"])
        policy = describe(self.policy, config["cache"], by_source=self.dynamic)
        for role, described in {"predictor": predictor, "policy": policy}.items():
            if "version" in described:
                described["version"] = (self.record.get("code") or {}).get(role, {}).get("version") or 1
        model = {**kind, **edition, "identity": dict(self.record["model"])}
        return {"model": model, "solver": solver, "predictor": predictor, "policy": policy}


def _batches(record: OldRecord, dynamic: bool) -> Iterator[int | None]:
    """The batch sizes that a record may have had; only the ids of records without a schedule depend on them."""
    if record["schedule"] or dynamic:
        yield record.get("batch_size")
    else:
        yield from range(1, LARGEST + 1)


def _calibrations(record: OldRecord, dynamic: bool) -> Iterator[Any]:
    """What a record may have been planned on: its digest of curves, or, if it was not planned, likely calibrations."""
    if record["calibration"]:
        yield record["calibration"]["digest"]
    elif record["schedule"] or dynamic:
        yield None
    else:
        for seed, count, k_max, unconditional in product(
            (999,), (10, 1, 2, 5, 20, 50), range(1, 11), (False, True)
        ):
            calibration = {
                "seed": seed,
                "num_samples": count,
                "k_max": k_max,
                "draw": 0,
                "unconditional": unconditional,
            }
            yield calibration
            yield {key: value for key, value in calibration.items() if key != "unconditional"}
