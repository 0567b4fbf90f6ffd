"""How much of the speed-up that MACs imply is realised: in a paper, and here."""

import math

import pandas as pd

from smoothbench.report.tables.column import TIMES, cost_column, is_timed
from smoothbench.report.tables.paper_cells import PaperTable, fixed, has, printed, title, values
from smoothbench.report.tables.text import NONE


def latency(rows: pd.DataFrame, frame: pd.DataFrame) -> PaperTable:
    """Return the latency that a paper reports and, where it was measured, ours.

    Args: rows, the points that the paper reports; frame, all points of the setting, with its reference.
    """
    theirs = speedup(rows, frame, "reported.latency")
    cells = {
        "policy": [str(label) for label in rows["label"]],
        "reported (s)": printed(rows, "latency"),
        "reported speed-up": fixed(theirs, 2, TIMES),
        "reported share": fixed(reported_share(rows, frame), 2),
    }
    if is_timed(rows):
        ours, nothing = rows["speedup_measured"], pd.Series(False, index=rows.index)
        cells |= {
            "measured (s)": cost_column("", rows["latency"], nothing, rows["latency.mad"]).cells,
            "measured speed-up": fixed(ours, 2, TIMES),
            "measured share": fixed(measured_share(rows, frame), 2),
        }
    spare = ("reported speed-up", "measured speed-up", "measured (s)")
    what = title(rows, f"Latency reported{' and measured' if is_timed(rows) else ''}")
    return PaperTable(what, cells, _notes(rows, frame, cells), spare)


def reported_share(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.Series:
    """Return the share of the speed-up implied by a paper's MACs that its latency realises."""
    return speedup(rows, frame, "reported.latency") / speedup(rows, frame, "reported.tmacs")


def measured_share(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.Series:
    """Return the share of the speed-up implied by linear MACs, as papers count them, that was measured here."""
    return rows["speedup_measured"] / speedup(rows, frame, "macs_linear")


def speedup(rows: pd.DataFrame, frame: pd.DataFrame, column: str) -> pd.Series:
    """Divide the reference's cost by each point's; reported costs within one table of one paper alone."""
    reference = frame[frame["reference"].astype(bool)]
    cost = values(reference, column).iloc[0] if len(reference) else math.nan
    speedups = cost / values(rows, column)
    if column.startswith("reported.") and len(reference):
        source = ["paper", "paper.table"]
        same = rows.reindex(columns=source) == reference.iloc[0].reindex(source)
        speedups = speedups.where(same.all(axis="columns"))
    return speedups


def _notes(rows: pd.DataFrame, frame: pd.DataFrame, cells: dict[str, list[str]]) -> list[str]:
    notes = []
    if any(set(cells.get(f"{each} share", [NONE])) != {NONE} for each in ("reported", "measured")):
        reference = frame.loc[frame["reference"].astype(bool), "label"].iloc[0]
        notes.append(f"share: of the speed-up over {reference} that linear MACs imply, so much was realised.")
    if has(rows, "paper.hardware"):
        notes.append(f"reported: {rows['paper.hardware'].dropna().iloc[0]}.")
    if is_timed(rows):
        first = rows.iloc[0]
        notes.append(f"measured: {first['latency.device']}, batch of {first['latency.batch_size']}.")
    return notes
