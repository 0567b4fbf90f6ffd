"""Describe in words what tells records apart: every setting that enters their ids, as a list of facts."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

from smoothbench.storage.record import Record
from smoothbench.storage.record_parts import PartCode

SHA256 = "_sha256"  # suffix of the hashes in a model's identity, after the name of the component
# Keys of a model's configuration that name the files or prompts of a component; the first one that is set counts.
SOURCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "weights": ("path",),
        "vae": ("vae",),
        "text_encoder": ("text",),
        "prompts": ("prompts.file", "prompts.list"),
    }
)
# Shown in any case, or without effect on a point's ids.
NOT_OF_MODEL = ("name", "guidance", "numerics.device")
ON_A_GPU = ("tf32_matmul", "tf32_cudnn")  # switches that act on CUDA's libraries alone
NOT_OF_POINT = ("_target_", "label", "family", "predictor", "training", "digest", "file", "spread")


@dataclass(frozen=True)
class Fact:
    """One setting of a record: its `name` and its value as text.

    Only records that have facts of the same `kind` are compared in it. A fact without a name says that a record has
    the kind, even if it has none of its settings.
    """

    kind: str
    name: str = ""
    text: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.text}"


def model_facts(record: Record) -> list[Fact]:
    """List a model's identity, component by component; a hash is shown with the path that it was loaded from."""
    paths = dict(_flat(_node(record.config, "model")))
    kind, hashes, others = f"model {record.model.name}", [], []
    for key, value in _flat(record.model.to_json()):
        if key.endswith(SHA256):
            name = key.removesuffix(SHA256)
            source = next((paths[key] for key in SOURCES.get(name, ()) if paths.get(key, "-") != "-"), "")
            hashes.append(Fact(kind, name, f"{source} ({value[:8]})".strip()))
        elif key not in NOT_OF_MODEL:
            others.append(Fact(kind, key, value))
    return [Fact(kind), *sorted(hashes, key=lambda fact: fact.name != "weights"), *others]


def solver_facts(record: Record) -> list[Fact]:
    """List a solver's parameters, except its steps, which headings show."""
    return _facts(f"solver {record.solver.name}", _node(record.config, "solver"), ("steps",))


def point_facts(record: Record) -> list[Fact]:
    """List what a point consists of, except its model and seeds: method, solver, predictor, calibration, code."""
    predictor = record.predictor
    predictor = predictor if isinstance(predictor, str) else json.dumps(predictor, sort_keys=True)
    return [
        *_facts("method", _node(record.config, "cache")),
        *_facts("solver", _node(record.config, "solver")),
        Fact("predictor", "predictor", predictor),
        *_facts(
            "calibration", record.calibration.to_json() if record.calibration else {}, before="calibration."
        ),
        *_facts("batch", {"batch_size": record.batch_size}),
        *([Fact("budget", "at", _short(record.budget.at))] if record.budget else [Fact("budget", "at", "-")]),
        *numerics_facts(record),
        *_code_facts(record.code or {}, predictor),
    ]


def _code_facts(code: Mapping[str, PartCode], predictor: str) -> list[Fact]:
    """The code of policy and predictor; `unknown` for a record from before code was recorded.

    That of a predictor is compared among records of the same predictor: another one has other code anyway.
    """
    if not code:
        return [Fact("code", "code", "unknown")]
    sources = {kind: str(code.get(kind, PartCode()).source)[:8] for kind in ("policy", "predictor")}
    kinds = {"policy": "code", "predictor": f"code of {predictor}"}
    return [Fact(kinds[kind], f"code of the {kind}", source) for kind, source in sources.items()]


def numerics_facts(record: Record) -> list[Fact]:
    """List the settings that decide rounding, except, on a CPU, those that have no effect there."""
    kind = record.provenance.get("kind") or record.provenance.get("device")
    return _facts("numerics", record.numerics.to_json(), ON_A_GPU if kind == "cpu" else ())


def differences(records: Sequence[Record], *omitted: str) -> list[str]:
    """Describe in which settings records differ from each other, one text per record; empty for a single record.

    Facts whose names are in `omitted` are left out.
    """
    lists = differing_facts([_facts_of(record) for record in records])
    return [", ".join(str(fact) for fact in facts if fact.name not in omitted) for facts in lists]


def namesakes(records: Iterable[Record]) -> dict[str, dict[str, str]]:
    """Describe what tells records of the same name apart, by cell_id, as a column `differs_in`.

    Cells whose name no other record has are left out.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.name, []).append(record)
    texts = [differences(group, "seeds") for group in groups.values()]
    pairs = zip(chain(*groups.values()), chain(*texts), strict=True)
    return {record.cell_id: {"differs_in": text} for record, text in pairs if text}


def _facts_of(record: Record) -> list[Fact]:
    name, seeds = record.model.name, json.dumps(record.seeds)
    guidance = _short(record.model.guidance)
    first = [Fact("", "model", name), Fact("", "guidance", guidance), Fact("", "seeds", seeds)]
    return [*first, *model_facts(record), *point_facts(record)]


def differing_facts(records: Sequence[Sequence[Fact]]) -> list[list[Fact]]:
    """Reduce each list to the facts that not all lists with facts of the same kind share; the order stays."""
    texts: dict[tuple[str, str], set[str | None]] = {}
    for key in dict.fromkeys((fact.kind, fact.name) for facts in records for fact in facts):
        texts[key] = {_text(facts, key) for facts in records if any(fact.kind == key[0] for fact in facts)}
    return [[fact for fact in facts if len(texts[fact.kind, fact.name]) > 1] for facts in records]


def _text(facts: Sequence[Fact], key: tuple[str, str]) -> str | None:
    return next((fact.text for fact in facts if (fact.kind, fact.name) == key), None)


def _facts(
    kind: str, node: Mapping[str, object], omitted: Sequence[str] = (), before: str = ""
) -> list[Fact]:
    hidden = (*NOT_OF_POINT, *omitted)
    flat = _flat({key: value for key, value in node.items() if key not in hidden})
    facts = (Fact(kind, before + key, value) for key, value in flat if not key.endswith("_target_"))
    return [Fact(kind), *facts]


def _node(config: Mapping[str, object], key: str) -> Mapping[str, object]:
    """A node of a record's configuration; empty where there is none, because configurations are not checked."""
    node = config.get(key)
    return node if isinstance(node, Mapping) else {}


def _flat(node: Mapping[str, object], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted keys, and values as short text; `-` for null."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", _short(value)


def _short(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(value.split()) if isinstance(value, str) else json.dumps(value)
