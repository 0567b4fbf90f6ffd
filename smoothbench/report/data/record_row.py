"""One record as one flat row."""

import json
import math
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np

from smoothbench.report.data.papers import paper_columns
from smoothbench.storage.record import Record
from smoothbench.storage.record_differences import model_facts, numerics_facts, point_facts, solver_facts
from smoothbench.storage.score_entry import Delta, ScoreEntry

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


def row_of(record: Record) -> dict[str, Any]:
    """Return the columns of `frame.load` for a record."""
    row = {key: getattr(record, key) for key in COPIED} | _solved(record) | _stated(record) | _costs(record)
    # else the blocks' spread means nothing
    equal_blocks = len({stop - first for first, stop in record.seeds}) == 1
    for name, score in record.scores.items():
        row |= _score(name, score, score.blocks or () if equal_blocks else ()) | _metric(record, name, score)
    row["captions"] = {int(seed): text for seed, text in (record.captions or {}).items()}
    return row | _budget(record) | _facts(record) | paper_columns(record)


def _solved(record: Record) -> dict[str, Any]:
    """The model and its solver; `identity` changes with everything that the record says of the model."""
    model, solver = record.model, record.solver
    identity = json.dumps(model.to_json(), sort_keys=True).encode()
    return {
        "model": model.name + (" without weights" if model.weights_sha256 == "random" else ""),
        "identity": sha256(identity).hexdigest()[:8],
        "guidance": _float(model.guidance),
        "solver": solver.name,
        "steps": solver.steps,
    }


def _facts(record: Record) -> dict[str, Any]:
    """What tells the record from others: of its table (model, solver, numerics), and of the point itself."""
    return {
        "facts.model": model_facts(record),
        "facts.solver": solver_facts(record),
        "facts.numerics": numerics_facts(record),
        "facts.solver_name": _solver_name(record),
        "facts": point_facts(record),
    }


def _solver_name(record: Record) -> str:
    """The name that the solver's class declares, as `solver=...` chooses it; the class's own where there is none."""
    declared = record.described.solver.name if record.described else None
    return declared or record.solver.name


def _stated(record: Record) -> dict[str, Any]:
    status, provenance = record.status, record.provenance
    states = [status.quality, status.cost]
    return {
        "seeds": ", ".join(f"{first}-{stop - 1}" for first, stop in record.seeds),
        "kind": str(provenance.get("kind") or provenance.get("device") or ""),
        "status": "failed"
        if "failed" in states
        else next((state for state in states if state != "done"), "done"),
        "status.quality": status.quality,
        "status.cost": status.cost,
        "reason": record.reason or "",
        "same_as": record.same_as or "",
    }


def _costs(record: Record) -> dict[str, Any]:
    cost = record.cost
    if cost is None:
        return {**dict.fromkeys(("macs", "macs_linear", "share", "evals"), math.nan), "by_kind": None}
    return {
        "macs": float(cost.macs),
        "macs_linear": float(cost.macs_linear),
        "share": float(cost.share),
        "evals": float(cost.evals),
        "by_kind": cost.by_kind,
    }


def _budget(record: Record) -> dict[str, Any]:
    """The share of the MACs that the point was given, and the one that it took; nothing where it was given none."""
    budget = record.budget
    return {} if budget is None else {"at": budget.at, "at.realised": _float(budget.realised)}


def _score(name: str, score: ScoreEntry, blocks: tuple[float, ...]) -> dict[str, Any]:
    """The columns of a score; `blocks` are its values in the seed ranges that were pooled."""
    columns: dict[str, Any] = {f"{name}{end}": value for end, value in _interval(score).items()}
    columns |= {f"{name}.q{level}": float(value) for level, value in sorted((score.quantiles or {}).items())}
    columns |= {f"{name}.delta{end}": value for end, value in _interval(score.delta).items()}
    return columns | {
        f"{name}.delta.p": _float(score.delta.p if score.delta else None),
        f"{name}.blocks": tuple(map(float, blocks)),
        f"{name}.blocks.sd": float(np.std(blocks, ddof=1)) if len(blocks) > 1 else math.nan,
        f"{name}.flag": score.flag or "",
        f"{name}.config_hash": score.config_hash,
        f"{name}.higher_is_better": score.higher_is_better,
    }


def _metric(record: Record, name: str, score: ScoreEntry) -> dict[str, Any]:
    """What the metric of a score is called, "" where nobody knows, and whether an encoder's features go into it."""
    metrics = record.config.get("metrics")
    node = metrics.get(name.partition("@")[0]) if isinstance(metrics, Mapping) else None
    metric = score.metric.name if score.metric else None
    return {
        f"{name}.metric": metric or "",
        f"{name}.by_encoder": isinstance(node, Mapping) and bool(node.get("encoder")),
    }


def _interval(estimate: ScoreEntry | Delta | None) -> dict[str, float]:
    """Value, standard error and interval by the ends of their columns' names; NaN where there is no estimate."""
    if estimate is None:
        return dict.fromkeys(("", ".se", ".low", ".high"), math.nan)
    ends = {"": estimate.value, ".se": estimate.se, ".low": estimate.low, ".high": estimate.high}
    return {end: _float(value) for end, value in ends.items()}


def _float(value: float | None) -> float:
    """A float; NaN stands for None."""
    return math.nan if value is None else float(value)
