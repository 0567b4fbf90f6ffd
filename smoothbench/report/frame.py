"""The records of an experiment as one flat DataFrame."""

import json
import logging
import math
from collections.abc import Hashable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from smoothbench.report.latency import add_latency

log = logging.getLogger(__name__)

SCHEMA = 1
COPIED: tuple[str, ...] = (
    "experiment",
    "name",
    "order",
    "label",
    "family",
    "point_id",
    "sample_id",
    "reference",
    "num_samples",
)
COPIED += ("degenerate", "predictor", "schedule", "provenance")
COSTS = ("macs", "macs_linear", "share", "evals")
# What two points must share to stand in one table or one picture.
SETTING = ["experiment", "model", "identity", "num_samples", "seeds", "kind"]


def load(folder: str | Path) -> pd.DataFrame:
    """The records of a results folder, one row a point, in the experiment's own order.

    Columns: those of the record, flat; `macs`, `macs_linear` (per sample), `share` of the reference's MACs;
    for each score `<score>`, `.se`, `.low`, `.high`, `.delta`, `.delta.low`, `.delta.high`, `.flag`,
    `.higher_is_better`; `latency` (seconds a batch), `latency.mad`, `speedup_macs`, `speedup_measured`.
    `attrs["ignored"]` lists the files that could not be read. ValueError if there is no record.
    """
    folder = Path(folder)
    rows, ignored = [], []
    for path in sorted(folder.glob("records/*.json")):
        try:
            rows.append(_row(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            ignored.append(f"records/{path.name}: {_explain(error)}")
            log.warning("ignored %s", ignored[-1])
    if not rows:
        raise ValueError(f"no readable record in {folder}/records: run python -m smoothbench +exp=... first")
    rows.sort(key=lambda row: (row["experiment"], row["order"], row["name"], row["point_id"]))
    frame = add_latency(pd.DataFrame(rows), _read_latency(folder / "latency.json"))
    frame.attrs["ignored"] = ignored
    return frame


def scores(frame: pd.DataFrame) -> list[str]:
    """Names of the scores that at least one point of the frame has, in the order of the records."""
    suffix = ".higher_is_better"
    names = [str(column).removesuffix(suffix) for column in frame.columns if str(column).endswith(suffix)]
    return [name for name in names if frame[name].notna().any()]


def higher_is_better(frame: pd.DataFrame, score: str) -> bool:
    """Direction of a score, as its records state it; ValueError where they contradict each other."""
    directions = set(frame[f"{score}.higher_is_better"].dropna())
    if len(directions) != 1:
        raise ValueError(f"the records of {score} disagree about higher_is_better: run its metric again")
    return bool(directions.pop())


def is_reference(rows: pd.DataFrame, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows are a reference of the frame or a point with the very samples of one, bool [rows]."""
    samples = frame.loc[frame["reference"].astype(bool), "sample_id"]
    return rows["sample_id"].isin(samples).to_numpy(dtype=bool)


def settings(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The parts of a frame that may share a table, each after a suffix for file names.

    The suffix of the largest part, or the newest among equals, is "".
    """
    parts = sorted(frame.groupby(SETTING, sort=True), key=lambda part: _weight(part[1]), reverse=True)
    for position, (key, part) in enumerate(parts):
        yield _slug(key) if position else "", part.reset_index(drop=True)


def _weight(part: pd.DataFrame) -> tuple[int, str]:
    return len(part), max(str(provenance.get("time", "")) for provenance in part["provenance"])


def require_one_setting(frame: pd.DataFrame) -> None:
    """ValueError if the frame mixes models, sample counts, seeds or kinds of device."""
    mixed = {name: sorted(set(frame[name])) for name in SETTING if frame[name].nunique() > 1}
    if mixed:
        found = "; ".join(f"{name} {', '.join(map(str, values))}" for name, values in mixed.items())
        raise ValueError(f"points that cannot share a table ({found}): split them with settings(frame)")


def _row(record: dict[str, Any]) -> dict[str, Any]:
    if record["schema"] != SCHEMA:
        raise ValueError(f"its schema is {record['schema']!r}, this version reads {SCHEMA}")
    provenance, status, cost = record["provenance"], record["status"], record["cost"] or {}
    first, stop = record["seeds"]
    row = {key: record[key] for key in COPIED} | {
        "model": record["model"]["name"],
        "identity": sha256(json.dumps(record["model"], sort_keys=True).encode()).hexdigest()[:8],
        "solver": record["solver"]["name"],
        "steps": record["solver"]["steps"],
        "seeds": f"{first}-{stop - 1}",
        "kind": provenance.get("kind") or provenance.get("device") or "",
        "status": _overall(status),
        "status.quality": status["quality"],
        "status.cost": status["cost"],
        "reason": record["reason"] or "",
        "same_as": record["same_as"] or "",
    }
    row |= {key: _number(cost.get(key)) for key in COSTS}
    for name, score in record["scores"].items():
        row |= _score_columns(name, score)
    return row


def _score_columns(name: str, score: dict[str, Any]) -> dict[str, Any]:
    delta = score["delta"] or {}
    columns = {name: _number(score["value"])}
    columns |= {f"{name}.{key}": _number(score[key]) for key in ("se", "low", "high")}
    columns |= {f"{name}.delta": _number(delta.get("value"))}
    columns |= {f"{name}.delta.{key}": _number(delta.get(key)) for key in ("se", "low", "high")}
    return columns | {
        f"{name}.flag": score["flag"] or "",
        f"{name}.higher_is_better": score["higher_is_better"],
    }


def _overall(status: dict[str, str]) -> str:
    found = [status["quality"], status["cost"]]
    return "failed" if "failed" in found else next((each for each in found if each != "done"), "done")


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _slug(key: Hashable) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    text = "-".join(str(part) for part in parts if part != "")
    return "".join(each if each.isalnum() or each in "-_" else "_" for each in text)


def _explain(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]


def _read_latency(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        latency = json.loads(path.read_text(encoding="utf-8"))
        schema = latency["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({_explain(error)}): measure latency again") from error
    if schema != SCHEMA:
        raise ValueError(f"{path} has schema {schema!r}, this version reads {SCHEMA}: measure latency again")
    return dict(latency)
