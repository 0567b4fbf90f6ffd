"""One record as one flat row; nothing of the wrong kind gets through."""

import json
import math
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import numpy as np

SCHEMA = 2
STATUSES = ("done", "failed", "skipped")
# What a row takes over as it stands, and the types that this may have in a record.
COPIED: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "experiment": (str,),
        "name": (str,),
        "order": (int,),
        "label": (str,),
        "family": (str,),
        "point_id": (str,),
        "cell_id": (str,),
        "sample_id": (str,),
        "reference": (bool,),
        "reference_id": (str,),
        "num_samples": (int,),
        "parts": (list,),
        "degenerate": (bool,),
        "predictor": (str, dict),
        "schedule": (dict, type(None)),
        "calibration": (dict, type(None)),
        "numerics": (dict,),
        "provenance": (dict,),
    }
)
COSTS = ("macs", "macs_linear", "share", "evals")


def row_of(record: Any) -> dict[str, Any]:
    """The columns of `frame.load` from a record of schema 2.

    ValueError for another schema and for values of the wrong kind, KeyError for missing ones.
    """
    _require(record, "the record", dict)
    if record["schema"] != SCHEMA:
        raise ValueError(f"its schema is {record['schema']!r}, this version reads {SCHEMA}: run it again")
    for key, types in COPIED.items():
        _require(record[key], key, *types)
    _check_schedule(record["schedule"])
    row = {key: record[key] for key in COPIED} | _solved(record) | _stated(record)
    cost = _require(record["cost"] or {}, "cost", dict)
    row |= {key: _number(cost.get(key), f"cost.{key}") for key in COSTS}
    row["by_kind"] = _require(cost.get("by_kind"), "cost.by_kind", dict, type(None))
    for name, score in _require(record["scores"], "scores", dict).items():
        row |= _score(name, score)
    return row


def explain(error: Exception) -> str:
    """What is wrong with a file, in one line."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return next(iter(str(error).splitlines()), type(error).__name__)


def _solved(record: dict[str, Any]) -> dict[str, Any]:
    """The model and its solver; `identity` changes with everything that the record says of the model."""
    model, solver = (_require(record[key], key, dict) for key in ("model", "solver"))
    return {
        "model": _require(model["name"], "model.name", str),
        "identity": sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:8],
        "guidance": _number(model.get("guidance"), "model.guidance"),
        "solver": _require(solver["name"], "solver.name", str),
        "steps": _require(solver["steps"], "solver.steps", int),
    }


def _stated(record: dict[str, Any]) -> dict[str, Any]:
    status, provenance = _require(record["status"], "status", dict), record["provenance"]
    for stage in ("quality", "cost"):
        if status[stage] not in STATUSES:
            raise ValueError(f"its status of {stage} is {status[stage]!r}, not one of {', '.join(STATUSES)}")
    found = [status["quality"], status["cost"]]
    return {
        "seeds": _seeds(record["seeds"], record["num_samples"]),
        "kind": str(provenance.get("kind") or provenance.get("device") or ""),
        "status": "failed" if "failed" in found else next((each for each in found if each != "done"), "done"),
        "status.quality": status["quality"],
        "status.cost": status["cost"],
        "reason": str(record["reason"] or ""),
        "same_as": str(record["same_as"] or ""),
    }


def _seeds(ranges: Any, count: int) -> str:
    """Half-open ranges as they are shown: `0-511, 1000000-1000511`."""
    _require(ranges, "seeds", list)
    pairs = [[_require(end, "seeds", int) for end in _require(each, "seeds", list)] for each in ranges]
    if any(len(pair) != 2 for pair in pairs) or sum(stop - first for first, stop in pairs) != count:
        raise ValueError(f"its seeds {ranges} are not {count} samples in half-open ranges")
    return ", ".join(f"{first}-{stop - 1}" for first, stop in pairs)


def _check_schedule(schedule: dict[str, Any] | None) -> None:
    if schedule is None:
        return
    sites, kinds, rows = (
        _require(schedule[key], f"schedule.{key}", list) for key in ("sites", "kinds", "rows")
    )
    if len(kinds) != len(sites) or any(len(str(row)) != len(sites) for row in rows):
        raise ValueError(f"its schedule has {len(sites)} sites and kinds or rows of other lengths")


def _score(name: str, score: Any) -> dict[str, Any]:
    _require(score, name, dict)
    delta = _require(score["delta"] or {}, f"{name}.delta", dict)
    quantiles = _require(score["quantiles"] or {}, f"{name}.quantiles", dict)
    values = _require(score["blocks"] or [], f"{name}.blocks", list)
    blocks = tuple(_number(value, f"{name}.blocks") for value in values)
    found = {"": score["value"]} | {f".{key}": score[key] for key in ("se", "low", "high")}
    found |= {f".q{level}": value for level, value in sorted(quantiles.items())}
    found |= {".delta": delta.get("value")}
    found |= {f".delta.{key}": delta.get(key) for key in ("se", "low", "high", "p")}
    if not 0 <= (delta.get("p") or 0) <= 1:
        raise ValueError(f"its {name}.delta.p is {delta['p']}, no probability")
    columns: dict[str, Any] = {f"{name}{end}": _number(value, f"{name}{end}") for end, value in found.items()}
    return columns | {
        f"{name}.blocks": blocks,
        f"{name}.blocks.sd": float(np.std(blocks, ddof=1)) if len(blocks) > 1 else math.nan,
        f"{name}.flag": str(score["flag"] or ""),
        f"{name}.higher_is_better": _require(score["higher_is_better"], f"{name}.higher_is_better", bool),
    }


def _require(value: Any, name: str, *types: type) -> Any:
    """The value, or a ValueError where it is of none of the types; a bool is no number."""
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError(f"its {name} is {str(value)[:40]!r}, not of type {types[0].__name__}")
    return value


def _number(value: Any, name: str) -> float:
    """A finite number; NaN stands for None."""
    if value is None:
        return math.nan
    number = float(_require(value, name, int, float))
    if not math.isfinite(number):
        raise ValueError(f"its {name} is {value}, not a finite number")
    return number
