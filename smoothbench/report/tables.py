"""The table of an experiment: what each point costs, saves and loses."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from smoothbench.report.frame import higher_is_better, is_reference, require_one_setting, scores

PLUS_MINUS, BETTER, WORSE, DAGGER = "\u00b1", "\u25b2", "\u25bc", "\u2020"
UP, DOWN, TIMES = "\u2191", "\u2193", "\u00d7"
NONE = "-"


@dataclass(frozen=True)
class Column:
    """One column: its heading, its cells, and what ranks them (values None: nothing does)."""

    title: str
    cells: list[str]
    values: pd.Series | None = None
    higher_is_better: bool = False


def report_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as strings, one row for each point that has a cost or a score.

    A score reads `value +- half width of its 95 % interval`, then in brackets its paired difference to the
    reference; a triangle says that the interval of the difference excludes 0: up is better, down is worse.
    ValueError if the points cannot share a table.
    """
    return pd.DataFrame({column.title: column.cells for column in _columns(frame)}, dtype=object)


def ranks(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank of each cell of `report_table`: 1 the best of its column, 2 the second, 0 neither.

    The reference and points with its very samples do not compete; equal values share a rank.
    """
    contenders = ~is_reference(measured(frame), frame)
    return pd.DataFrame({column.title: _ranks(column, contenders) for column in _columns(frame)})


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame without what is no number or name: what table.csv holds, at full precision."""
    return frame.drop(columns=["schedule", "provenance"])


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    """The points that have a cost or a score: the rows of the table."""
    done = (frame["status.quality"] == "done") | (frame["status.cost"] == "done")
    return frame[done].reset_index(drop=True)


def point_label(frame: pd.DataFrame, row: pd.Series) -> str:
    """A point's label with its marks: reference, skips nothing, same samples as another."""
    marks = []
    if row["reference"]:
        marks.append("reference")
    if row["degenerate"]:
        marks.append("skips nothing")
    if row["same_as"]:
        twins = frame.loc[frame["name"] == row["same_as"], "label"]
        marks.append(f"= {twins.iloc[0] if len(twins) else row['same_as']}")
    return f"{row['label']} ({'; '.join(marks)})" if marks else str(row["label"])


def _columns(frame: pd.DataFrame) -> list[Column]:
    require_one_setting(frame)
    rows = measured(frame)
    columns = [
        Column("policy", [point_label(frame, row) for _, row in rows.iterrows()]),
        Column("steps", [str(steps) for steps in rows["steps"]]),
        _cost("MACs (G)", rows["macs"] / 1e9),
        _cost("share of MACs (%)", rows["share"] * 100, decimals=1),
    ]
    timed = "latency" in rows and rows["latency"].notna().any()
    if timed:
        columns.append(_cost("latency (s)", rows["latency"], rows["latency.mad"]))
    columns.append(_cost("speed-up by MACs", rows["speedup_macs"], decimals=2, unit=TIMES, higher=True))
    if timed:
        speedup, mad = rows["speedup_measured"], rows["speedup_measured.mad"]
        columns.append(_cost("speed-up measured", speedup, mad, decimals=2, unit=TIMES, higher=True))
    return columns + [_score(rows, score) for score in scores(rows)]


def _cost(
    title: str,
    values: pd.Series,
    spread: pd.Series | None = None,
    *,
    decimals: int | None = None,
    unit: str = "",
    higher: bool = False,
) -> Column:
    """A column of costs; decimals None: three digits of the smallest value, two of the usual spread."""
    if decimals is None:
        decimals = (
            _decimals(values.min(), 3) if spread is None else _decimals(spread.median(), 2, values.min())
        )
    spreads: Iterable[float] = [math.nan] * len(values) if spread is None else spread
    pairs = zip(values, spreads, strict=True)
    return Column(title, [_with_spread(*pair, decimals, unit) for pair in pairs], values, higher)


def _score(rows: pd.DataFrame, score: str) -> Column:
    higher = higher_is_better(rows, score)
    half = (rows[f"{score}.high"] - rows[f"{score}.low"]) / 2
    digits = _decimals(half.median(), 2, rows[score].abs().median())
    half_delta = (rows[f"{score}.delta.high"] - rows[f"{score}.delta.low"]) / 2
    delta_digits = _decimals(half_delta.median(), 2, rows[f"{score}.delta"].abs().median())
    cells = []
    for i, row in rows.iterrows():
        if math.isnan(row[score]):
            cells.append(NONE if row["status.quality"] == "done" else row["status.quality"])
            continue
        flag = DAGGER if row[f"{score}.flag"] else ""
        cells.append(
            _with_spread(row[score], half[i], digits) + flag + _delta(row, score, delta_digits, higher)
        )
    return Column(f"{score} {UP if higher else DOWN}", cells, rows[score], higher)


def _delta(row: pd.Series, score: str, decimals: int, higher: bool) -> str:
    """The paired difference in brackets, or nothing; the triangle needs an interval without 0."""
    delta, low, high = (row[f"{score}.delta{part}"] for part in ("", ".low", ".high"))
    if math.isnan(delta):
        return ""
    mark = "" if low <= 0 <= high else f" {BETTER if (delta > 0) == higher else WORSE}"
    shown = round(delta, decimals) + 0.0  # no negative zero
    return f" ({shown:+.{decimals}f} {PLUS_MINUS} {(high - low) / 2:.{decimals}f}{mark})"


def _with_spread(value: float, spread: float, decimals: int, unit: str = "") -> str:
    if math.isnan(value):
        return NONE
    return f"{value:.{decimals}f}{unit}" + (
        "" if math.isnan(spread) else f" {PLUS_MINUS} {spread:.{decimals}f}"
    )


def _decimals(value: float, digits: int, otherwise: float = math.nan) -> int:
    """Decimals that show so many significant digits of a value (of the other to three if it is 0 or NaN)."""
    if not value > 0:
        return _decimals(otherwise, 3) if otherwise > 0 else 3
    return min(max(digits - 1 - math.floor(math.log10(value)), 0), 6)


def _ranks(column: Column, contenders: np.ndarray) -> list[int]:
    if column.values is None:
        return [0] * len(column.cells)
    values = column.values.where(contenders).astype(float)
    distinct = sorted(set(values.dropna()), reverse=column.higher_is_better)[:2]
    if len(distinct) < 2:  # nothing to tell apart
        return [0] * len(values)
    return [distinct.index(value) + 1 if value in distinct else 0 for value in values]
