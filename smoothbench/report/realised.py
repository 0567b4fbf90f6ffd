"""How much of the speed-up that MACs imply is realised: in a paper, and here."""

import math

import pandas as pd

from smoothbench.report.columns import TIMES, cost_column, is_timed
from smoothbench.report.printed import Beside, fixed, has, printed, title, values
from smoothbench.report.text import NONE


def latency(rows: pd.DataFrame, frame: pd.DataFrame) -> Beside:
    """The latency that a paper reports and, where it was measured, ours.

    Args: rows, the points that the paper reports; frame, all points of the setting, with its reference.
    """
    theirs = _speedup(rows, frame, "reported.latency")
    cells = {
        "policy": [str(label) for label in rows["label"]],
        "reported (s)": printed(rows, "latency"),
        "reported speed-up": fixed(theirs, 2, TIMES),
        "reported share": fixed(theirs / _speedup(rows, frame, "reported.tmacs"), 2),
    }
    if is_timed(rows):
        ours, nothing = rows["speedup_measured"], pd.Series(False, index=rows.index)
        cells |= {
            "measured (s)": cost_column("", rows["latency"], nothing, rows["latency.mad"]).cells,
            "measured speed-up": fixed(ours, 2, TIMES),
            "measured share": fixed(ours / _speedup(rows, frame, "macs_linear"), 2),
        }
    spare = ("reported speed-up", "measured speed-up", "measured (s)")
    what = title(rows, f"Latency reported{' and measured' if is_timed(rows) else ''}")
    return Beside(what, cells, _notes(rows, frame, cells), spare)


def _speedup(rows: pd.DataFrame, frame: pd.DataFrame, column: str) -> pd.Series:
    """The reference's cost over each point's; of what is reported, within one table of one paper alone."""
    reference = frame[frame["reference"].astype(bool)]
    if column.startswith("reported.") and len(reference):
        source = ["paper", "paper.table"]
        same = reference.iloc[0].reindex(source).tolist() == rows.iloc[0].reindex(source).tolist()
        reference = reference if same else reference.iloc[:0]
    cost = values(reference, column).iloc[0] if len(reference) else math.nan
    return cost / values(rows, column)


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
