"""One record as one flat row; nothing of the wrong kind gets through."""

import json
import math
from hashlib import sha256
from typing import Any

import numpy as np

from smoothbench.facts import model_facts, numerics_facts, point_facts, solver_facts
from smoothbench.report.papers import paper_columns
from smoothbench.schema import check_record, number

# What a row takes over as it stands.
COPIED = (
    "experiment",
    "name",
    "order",
    "label",
    "family",
    "point_id",
    "cell_id",
    "sample_id",
    "reference",
    "reference_id",
    "num_samples",
    "parts",
    "degenerate",
    "predictor",
    "schedule",
    "calibration",
    "numerics",
    "provenance",
)
COSTS = ("macs", "macs_linear", "share", "evals")


def row_of(record: Any) -> dict[str, Any]:
    """The columns of `frame.load` from a record of schema 3.

    ValueError for another schema and for values of the wrong kind, KeyError for missing ones.
    """
    check_record(record)
    row = {key: record[key] for key in COPIED} | _solved(record) | _stated(record)
    cost = record["cost"] or {}
    row |= {key: _number(cost.get(key), f"cost.{key}") for key in COSTS}
    row["by_kind"] = cost.get("by_kind")
    alike = len({stop - first for first, stop in record["seeds"]}) == 1
    for name, score in record["scores"].items():
        row |= _score(name, score if alike else score | {"blocks": None})  # else their spread means nothing
    row["captions"] = _captions(record)
    return row | _facts(record) | paper_columns(record)


def _solved(record: dict[str, Any]) -> dict[str, Any]:
    """The model and its solver; `identity` changes with everything that the record says of the model."""
    model, solver = record["model"], record["solver"]
    return {
        "model": model["name"] + (" without weights" if model.get("weights_sha256") == "random" else ""),
        "identity": sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()[:8],
        "guidance": _number(model.get("guidance"), "model.guidance"),
        "solver": solver["name"],
        "steps": solver["steps"],
    }


def _facts(record: dict[str, Any]) -> dict[str, Any]:
    """What tells the record from others: of its table (model, solver, numerics), and of the point itself."""
    return {
        "facts.model": model_facts(record),
        "facts.solver": solver_facts(record),
        "facts.numerics": numerics_facts(record),
        "facts": point_facts(record),
    }


def _stated(record: dict[str, Any]) -> dict[str, Any]:
    status, provenance = record["status"], record["provenance"]
    found = [status["quality"], status["cost"]]
    return {
        "seeds": ", ".join(f"{first}-{stop - 1}" for first, stop in record["seeds"]),
        "kind": str(provenance.get("kind") or provenance.get("device") or ""),
        "status": "failed" if "failed" in found else next((each for each in found if each != "done"), "done"),
        "status.quality": status["quality"],
        "status.cost": status["cost"],
        "reason": record["reason"] or "",
        "same_as": record["same_as"] or "",
    }


def _score(name: str, score: Any) -> dict[str, Any]:
    delta, quantiles = score["delta"] or {}, score["quantiles"] or {}
    blocks = tuple(float(value) for value in score["blocks"] or [])
    found = {"": score["value"]} | {f".{key}": score[key] for key in ("se", "low", "high")}
    found |= {f".q{level}": value for level, value in sorted(quantiles.items())}
    found |= {".delta": delta.get("value")}
    found |= {f".delta.{key}": delta.get(key) for key in ("se", "low", "high", "p")}
    columns: dict[str, Any] = {f"{name}{end}": _number(value, f"{name}{end}") for end, value in found.items()}
    return columns | {
        f"{name}.blocks": blocks,
        f"{name}.blocks.sd": float(np.std(blocks, ddof=1)) if len(blocks) > 1 else math.nan,
        f"{name}.flag": score["flag"] or "",
        f"{name}.config_hash": score["config_hash"],
        f"{name}.higher_is_better": score["higher_is_better"],
    }


def _captions(record: dict[str, Any]) -> dict[int, str]:
    """What samples were asked to be, by seed; empty where the record does not tell."""
    return {int(seed): text for seed, text in (record.get("captions") or {}).items()}


def _number(value: Any, name: str) -> float:
    """A finite number; NaN stands for None."""
    return math.nan if value is None else number(value, name)
