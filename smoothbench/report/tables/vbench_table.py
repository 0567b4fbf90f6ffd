"""Tables of VBench's own results beside what a paper printed."""

import pandas as pd

from smoothbench.interop.vbench.totals import DIMENSIONS
from smoothbench.report.data.vbench import SUMS
from smoothbench.report.tables.paper_cells import (
    PaperTable,
    fixed,
    has,
    labels,
    marked,
    printed,
    title,
    values,
)
from smoothbench.report.tables.text import NONE

TITLE = "VBench (imported)"
DECIMALS = 4


def tables(frame: pd.DataFrame) -> list[PaperTable]:
    """Return the sums of the points that have results, beside the paper's, and their sixteen dimensions."""
    if not has(frame, "vbench.missing"):
        return []
    rows = frame[frame["vbench.missing"].notna()].reset_index(drop=True)
    return [_sums(rows), _dimensions(rows)]


def section(frame: pd.DataFrame) -> list[str]:
    """Write the tables as lines of Markdown; none where nothing was imported."""
    lines = [line for each in tables(frame) for line in each.markdown()]
    return [f"### {TITLE}", "", *lines] if lines else []


def _sums(rows: pd.DataFrame) -> PaperTable:
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
    return PaperTable(what, cells, notes + marked(rows), ("videos", "dimensions"))


def _dimensions(rows: pd.DataFrame) -> PaperTable:
    cells = {"dimension": [name.replace("_", " ") for name in DIMENSIONS]}
    for place, label in enumerate(labels(rows)):
        column = pd.Series([values(rows, f"vbench.{name}")[place] for name in DIMENSIONS])
        cells[label if label not in cells else f"{label} ({rows['point_id'][place]})"] = fixed(
            column, DECIMALS
        )
    return PaperTable("VBench's dimensions, as its files have them", cells, [])
