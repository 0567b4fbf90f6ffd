"""The ids of records of schema 2, made again of a record's own content, and the ids that it has now.

They were hashes of configuration nodes, import paths included, and of the code of what had no version to answer for
it. A record whose ids do not come out again was not made by that rule, or its content is another by now.
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

OldRecord = Mapping[str, Any]  # of schema 2, as its file has it
Ids = tuple[str, str, str]  # of samples, point, cell
Code = dict[str, str | int]  # what of the code was part of an id
LARGEST = 4096  # batch that is looked for where no record says it


class Unproven(ValueError):
    """A record, or a file, is not what its id would have to be made of."""


@dataclass(frozen=True)
class Proven:
    """A record whose ids came out again: what it is made of, and of its own content what they left out."""

    code: Code
    described: Config
    batch_size: int | None
    planned_on: Any
    dynamic: bool  # now it counts for these alone


def old_ids(
    record: OldRecord, code: Code, batch: int | None, on: Any, seeds: Sequence[int], pair: str | None
) -> Ids:
    """The ids by the rule of schema 2."""
    config, rows = record["config"], bits(record)
    asked = {"model": record["model"], "solver": config["solver"]} | ({"code": code} if code else {})
    reuses = rows is None or any("0" in row for row in rows)
    decision = [config["cache"], batch] if rows is None else rows
    cut = {**asked, "decision": decision, "predictor": record["predictor"] if reuses else None}
    method = {"cache": config["cache"], "predictor": record["predictor"], "calibration": on}
    sample_id = identity({**cut, "seeds": list(seeds)})
    point_id = identity({**asked, "seeds": list(seeds), **method, "sample_id": sample_id, "pair": pair})
    return sample_id, point_id, identity({**cut, **method})


def new_ids(record: OldRecord, proven: Proven, seeds: Sequence[int], pair: str | None) -> Ids:
    """The ids by the rule of now, for what the record was proven to be."""
    batch_size = proven.batch_size if proven.dynamic else None
    return point_ids(proven.described, bits(record), batch_size, seeds, proven.planned_on, pair)


def prove(record: OldRecord) -> Proven:
    """What makes a record's ids come out again; Unproven, with the reason, where nothing does."""
    try:
        parts = _Parts(record)
    except (ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise Unproven(f"its parts cannot be built again ({one_line(error)})") from error
    seeds, decided = record["seeds"][0], (record["sample_id"], record["cell_id"])
    for code in parts.codes():
        for batch in _batches(record, parts.dynamic):
            if old_ids(record, code, batch, None, seeds, None)[0] != decided[0]:
                continue
            for on in _calibrations(record, parts.dynamic):
                if old_ids(record, code, batch, on, seeds, None)[2] == decided[1]:
                    return Proven(code, parts.described(code), batch, on, parts.dynamic)
    raise Unproven("its ids do not come out again from its content and the code as it is")


def bits(record: OldRecord) -> list[str] | None:
    """The rows of a record's schedule, None where it has none."""
    return list(record["schedule"]["rows"]) if record["schedule"] else None


class _Parts:
    """What a record's nodes name, built again."""

    def __init__(self, record: OldRecord) -> None:
        config, self.record = moved(record["config"]), record
        self.model: type = get_object(config["model"]["_target_"])
        self.solver = build_solver(config["solver"])
        self.policy = build_policy(config["cache"], "cache")
        self.predictor = build_predictor(record["predictor"], "predictor")
        self.dynamic = isinstance(self.policy, DynamicPolicy)

    def codes(self) -> Iterator[Code]:
        """What of the code the ids may hold: nothing in the first records, later what the record says of it."""
        yield {}
        said = self.record.get("code") or {}
        choices = {
            part: [*self._choices(part, said.get(part, {}))]
            for part in ("model", "solver", "policy", "predictor")
        }
        for chosen in product(*choices.values()):
            code = {part: text for part, text in zip(choices, chosen, strict=True) if text is not None}
            if code:
                yield code

    def _choices(self, part: str, said: Mapping[str, Any]) -> Iterator[str | int | None]:
        yield None
        if part == "policy":
            if self.dynamic:
                yield source_of(self.record["config"]["cache"], self.policy)
        elif part == "predictor" and type(self.predictor) is not Reuse:
            # of a class with a version, the source of then: that of now, where it stands for its numbers
            yield (
                said.get("source")
                if version_of(self.predictor)
                else source_of(self.record["predictor"], self.predictor)
            )
        elif said.get("version") is not None:
            yield said["version"]
        else:
            yield fingerprint(self.model if part == "model" else type(self.solver))

    def described(self, code: Code) -> Config:
        """As `point_code.described` has it, in the versions that the ids say."""
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
        for part, known in {"predictor": predictor, "policy": policy}.items():
            if "version" in known:
                known["version"] = (self.record.get("code") or {}).get(part, {}).get("version") or 1
        model = {**kind, **edition, "identity": dict(self.record["model"])}
        return {"model": model, "solver": solver, "predictor": predictor, "policy": policy}


def _batches(record: OldRecord, dynamic: bool) -> Iterator[int | None]:
    """The batch sizes that a record may be of; only those without a schedule know of one."""
    if record["schedule"] or dynamic:
        yield record.get("batch_size")
    else:
        yield from range(1, LARGEST + 1)


def _calibrations(record: OldRecord, dynamic: bool) -> Iterator[Any]:
    """What a record may have been planned on; of one that was not planned, the calibrations that one asks for."""
    if record["calibration"]:
        yield record["calibration"]["digest"]
    elif record["schedule"] or dynamic:
        yield None
    else:
        for seed, count, k_max, unconditional in product(
            (999,), (10, 1, 2, 5, 20, 50), range(1, 11), (False, True)
        ):
            asked = {
                "seed": seed,
                "num_samples": count,
                "k_max": k_max,
                "draw": 0,
                "unconditional": unconditional,
            }
            yield asked
            yield {key: value for key, value in asked.items() if key != "unconditional"}
