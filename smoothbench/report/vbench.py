"""VBench's own results, imported, and what a paper printed of its total."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pandas as pd

from smoothbench.json_checks import explain
from smoothbench.report.printed import Beside, fixed, has, labels, marked, printed, title, values
from smoothbench.report.text import NONE
from smoothbench.vbench_scores import DIMENSIONS, Result, kept, totals

log = logging.getLogger(__name__)

TITLE = "VBench (imported)"
SUMS = ("total", "quality", "semantic")
DECIMALS = 4


def add_vbench(frame: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """The frame with `vbench.<dimension>`, `vbench.videos` (the most of a dimension), `vbench.missing` (dimensions)
    and the sums `vbench.total`, `.quality`, `.semantic` of points whose results lie in `vbench/`.

    Only where there are any; a sum of which a dimension is missing is NaN. Also a line for each file that cannot be
    read; a warning names it.
    """
    columns: dict[str, dict[Any, float]] = {}
    ignored = []
    for index, record in frame["record"].items():
        path = folder / "vbench" / f"{record}.json"
        if not path.exists():
            continue
        try:
            found = _numbers(kept(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, RecursionError) as error:
            ignored.append(f"vbench/{path.name}: {explain(error)}")
            log.warning("ignored %s", ignored[-1])
            continue
        for name, value in found.items():
            columns.setdefault(f"vbench.{name}", {})[index] = value
    added = {name: pd.Series(cells, index=frame.index, dtype=float) for name, cells in columns.items()}
    return (pd.concat([frame, pd.DataFrame(added)], axis="columns") if added else frame), ignored


def _numbers(results: dict[str, Result]) -> dict[str, float]:
    each = {name: result.value for name, result in results.items()}
    sums = totals(each)
    known = {name: getattr(sums, name) for name in SUMS}
    return {
        **{name: math.nan if value is None else value for name, value in known.items()},
        "missing": float(len(sums.missing)),
        "videos": float(max((result.videos for result in results.values()), default=0)),
        **each,
    }


def tables(frame: pd.DataFrame) -> list[Beside]:
    """The sums of the points that have results, beside the paper's, and their sixteen dimensions."""
    if not has(frame, "vbench.missing"):
        return []
    rows = frame[frame["vbench.missing"].notna()].reset_index(drop=True)
    return [_sums(rows), _dimensions(rows)]


def section(frame: pd.DataFrame) -> list[str]:
    """The tables as lines of Markdown; none where nothing was imported."""
    lines = [line for each in tables(frame) for line in each.markdown()]
    return [f"### {TITLE}", "", *lines] if lines else []


def _sums(rows: pd.DataFrame) -> Beside:
    difference = values(rows, "vbench.total") - values(rows, "reported.vbench")
    cells = {
        "policy": labels(rows),
        "reported": printed(rows, "vbench"),
        **{name: fixed(rows[f"vbench.{name}"], DECIMALS) for name in SUMS},
        "difference": fixed(difference, DECIMALS, signed=True),
        "dimensions": [
            f"{len(DIMENSIONS) - missing:.0f} of {len(DIMENSIONS)}" for missing in rows["vbench.missing"]
        ],
        "videos": fixed(rows["vbench.videos"], 0),
    }
    notes = [
        "Measured by VBench itself and imported, normalised and weighted as it publishes: total is"
        " (4 quality + semantic) / 5. Its files hold no errors of these numbers. No proxy (vbproxy_...) is part"
        " of it.",
        "videos: the most that a dimension was scored on.",
    ]
    if (rows["vbench.missing"] > 0).any():
        notes.append(
            f"{NONE}: incomplete. VBench would count a missing dimension as 0; here a sum needs all of its own."
        )
    what = title(rows, "VBench's totals") if has(rows, "reported.vbench") else "VBench's totals"
    return Beside(what, cells, notes + marked(rows), ("videos", "dimensions"))


def _dimensions(rows: pd.DataFrame) -> Beside:
    cells = {"dimension": [name.replace("_", " ") for name in DIMENSIONS]}
    for place, label in enumerate(labels(rows)):
        found = pd.Series([values(rows, f"vbench.{name}")[place] for name in DIMENSIONS])
        cells[label if label not in cells else f"{label} ({rows['point_id'][place]})"] = fixed(
            found, DECIMALS
        )
    return Beside("VBench's dimensions, as its files have them", cells, [])
