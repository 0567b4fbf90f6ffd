"""What tells records apart, in words: everything of a record that its identities know, piece by piece."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

from smoothbench.storage.record import Record
from smoothbench.storage.record_parts import PartCode

SHA256 = "_sha256"  # ends the name of a hash in a model's identity; before it stands the component's
# Where a model's configuration says which files or prompts a component is; the first that is there.
SOURCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "weights": ("path",),
        "vae": ("vae",),
        "text_encoder": ("text",),
        "prompts": ("prompts.file", "prompts.list"),
    }
)
# Shown in any case, or no part of what a point is.
NOT_OF_MODEL = ("name", "guidance", "numerics.device")
ON_A_GPU = ("tf32_matmul", "tf32_cudnn")  # switches of CUDA's libraries alone
NOT_OF_POINT = ("_target_", "label", "family", "predictor", "training", "digest", "file", "spread")


@dataclass(frozen=True)
class Fact:
    """One thing that a record says: `name` and its value as text; only records with facts of a `kind` compare in it.

    One without a name says that a record has the kind, though maybe none of its settings.
    """

    kind: str
    name: str = ""
    text: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.text}"


def model_facts(record: Record) -> list[Fact]:
    """A model's identity, component by component, a hash with the path that it was loaded from."""
    paths = dict(_flat(_node(record.config, "model")))
    kind, hashes, settings = f"model {record.model.name}", [], []
    for key, value in _flat(record.model.to_json()):
        if key.endswith(SHA256):
            name = key.removesuffix(SHA256)
            source = next((paths[key] for key in SOURCES.get(name, ()) if paths.get(key, "-") != "-"), "")
            hashes.append(Fact(kind, name, f"{source} ({value[:8]})".strip()))
        elif key not in NOT_OF_MODEL:
            settings.append(Fact(kind, key, value))
    return [Fact(kind), *sorted(hashes, key=lambda fact: fact.name != "weights"), *settings]


def solver_facts(record: Record) -> list[Fact]:
    """A solver's settings without its steps, which a heading has."""
    return _facts(f"solver {record.solver.name}", _node(record.config, "solver"), ("steps",))


def point_facts(record: Record) -> list[Fact]:
    """What a point is beside its model and seeds: its method, solver, predictor, calibration and code."""
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
        *numerics_facts(record),
        *_code_facts(record.code or {}),
    ]


def _code_facts(code: Mapping[str, PartCode]) -> list[Fact]:
    """The code that decides a point; of a record from before code was recorded, that it is unknown."""
    if not code:
        return [Fact("code", "code", "unknown")]
    sources = {part: str(code.get(part, PartCode()).source)[:8] for part in ("policy", "predictor")}
    return [Fact("code", f"code of the {part}", source) for part, source in sources.items()]


def numerics_facts(record: Record) -> list[Fact]:
    """What decides the rounding; on a CPU without the switches that have no effect there."""
    kind = record.provenance.get("kind") or record.provenance.get("device")
    return _facts("numerics", record.numerics.to_json(), ON_A_GPU if kind == "cpu" else ())


def differences(records: Sequence[Record], *omitted: str) -> list[str]:
    """In what each of several records differs from the others, but for facts of some names; empty for one."""
    lists = differing_facts([_facts_of(record) for record in records])
    return [", ".join(str(fact) for fact in facts if fact.name not in omitted) for facts in lists]


def namesakes(records: Iterable[Record]) -> dict[str, dict[str, str]]:
    """By cell, as a column `differs_in`, what tells a record from others of its name; only cells that have any."""
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
    """Of each of several lists the facts that not all lists with facts of their kind share, in their order."""
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
    settings = (Fact(kind, before + key, value) for key, value in flat if not key.endswith("_target_"))
    return [Fact(kind), *settings]


def _node(config: Mapping[str, object], key: str) -> Mapping[str, object]:
    """A node of a record's configuration, empty where there is none: no check says what a configuration holds."""
    node = config.get(key)
    return node if isinstance(node, Mapping) else {}


def _flat(node: Mapping[str, object], before: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and values as short text; `-` for nothing."""
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
