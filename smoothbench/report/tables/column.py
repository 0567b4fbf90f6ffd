"""The columns of a table: numbers rounded to what their spread allows, differences and their marks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from smoothbench.report.data.frame import higher_is_better
from smoothbench.report.tables.text import NONE, PLUS_MINUS

BETTER, WORSE, DAGGER = "\u25b2", "\u25bc", "\u2020"
UP, DOWN, TIMES, OFF = "\u2191", "\u2193", "\u00d7", "off"
LEVEL = 0.05  # of the test that a triangle stands for, after Holm's correction
MISSED = 0.03  # of the uncached MACs, by which a dynamic method may miss its budget unmarked
TAILS = (0.05, 0.01)  # shares of the worst samples whose bound the table of distances shows


@dataclass(frozen=True)
class Column:
    """One column: its heading, its cells, and what ranks them (values None: nothing does).

    `deltas` and `marks` are of the paired differences, where there are any; `values` are NaN for points
    that do not compete.
    """

    title: str
    cells: list[str]
    values: pd.Series | None = None
    higher_is_better: bool = False
    deltas: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    def text(self) -> list[str]:
        """Return the cells with the difference in brackets."""
        if not self.deltas:
            return self.cells
        parts = zip(self.cells, self.deltas, self.marks, strict=True)
        return [cell + (f" ({f'{delta} {mark}'.strip()})" if delta else "") for cell, delta, mark in parts]

    def ranks(self) -> list[int]:
        """Return 1 for the best, 2 for the second, 0 for neither; equal values share a rank."""
        if self.values is None:
            return [0] * len(self.cells)
        distinct = sorted(set(self.values.dropna()), reverse=self.higher_is_better)[:2]
        if len(distinct) < 2:  # nothing to tell apart
            return [0] * len(self.cells)
        return [distinct.index(value) + 1 if value in distinct else 0 for value in self.values]


def is_timed(rows: pd.DataFrame) -> bool:
    """Say whether the latency of any point was measured."""
    return "latency" in rows and bool(rows["latency"].notna().any())


def share_column(rows: pd.DataFrame, competing: pd.Series) -> Column:
    """Return the column of MACs as a share of the reference's."""
    return cost_column("MACs (%)", rows["share"] * 100, competing, decimals=1)


def budget_columns(rows: pd.DataFrame) -> list[Column]:
    """Return the column of the shares that points were given, and how far their own ended from it; or nothing.

    A share that lies further off than `MISSED` is marked.
    """
    if "at" not in rows or rows["at"].isna().all():
        return []
    off = rows["at.realised"] - rows["at"]
    cells = [with_spread(100 * value, math.nan, 1) for value in rows["at"]]
    deltas = ["" if math.isnan(value) else f"{100 * value:+.1f}" for value in off]
    marks = [OFF if abs(value) > MISSED else "" for value in off]
    return [Column("budget (%)", cells, deltas=deltas, marks=marks)]


def fastest_column(rows: pd.DataFrame, competing: pd.Series) -> Column:
    """Return the column of the measured speed-up where there is one, else of that by MACs."""
    return speedup_column(rows, "speedup_measured" if is_timed(rows) else "speedup_macs", competing)


def speedup_column(rows: pd.DataFrame, name: str, competing: pd.Series) -> Column:
    """Return a column of speed-ups. Args: name, `speedup_macs` (by MACs) or `speedup_measured`."""
    title = "speed-up by MACs" if name == "speedup_macs" else "speed-up"
    spread = rows.get(f"{name}.mad")
    return cost_column(title, rows[name], competing, spread, decimals=2, unit=TIMES, higher=True)


def cost_column(
    title: str,
    values: pd.Series,
    competing: pd.Series,
    spread: pd.Series | None = None,
    *,
    decimals: int | None = None,
    unit: str = "",
    higher: bool = False,
) -> Column:
    """Return a column of costs; decimals None: three digits of the smallest value, two of the usual spread."""
    if decimals is None:
        least = values.min()
        if spread is not None and spread.notna().any():  # a single round has none
            decimals = decimals_for(spread.median(), 2, least)
        else:
            decimals = decimals_for(least, 3)
    spreads: Iterable[float] = [math.nan] * len(values) if spread is None else spread
    cells = [with_spread(*pair, decimals, unit) for pair in zip(values, spreads, strict=True)]
    return Column(title, cells, values.where(competing), higher)


def score_column(rows: pd.DataFrame, score: str, competing: pd.Series) -> Column:
    """Return a score with its interval and, where it has any, its paired differences to the reference."""
    higher = higher_is_better(rows, score)
    half = (rows[f"{score}.high"] - rows[f"{score}.low"]) / 2
    digits = decimals_for(half.median(), 2, rows[score].abs().median())
    cells = [
        _state(row) if math.isnan(row[score])
        else with_spread(row[score], half[i], digits) + (DAGGER if row[f"{score}.flag"] else "")
        for i, row in rows.iterrows()
    ]  # fmt: skip
    title = f"{score} {UP if higher else DOWN}"
    return Column(title, cells, rows[score].where(competing), higher, *_deltas(rows, score, higher))


def _deltas(rows: pd.DataFrame, score: str, higher: bool) -> tuple[list[str], list[str]]:
    """The paired differences to the reference, and the triangle of those that Holm's test confirms."""
    delta, p_values = rows[f"{score}.delta"], rows[f"{score}.delta.p.holm"]
    half = (rows[f"{score}.delta.high"] - rows[f"{score}.delta.low"]) / 2
    digits = decimals_for(half.median(), 2, delta.abs().median())
    pairs = zip(delta, half, strict=True)
    texts = ["" if math.isnan(d) else with_spread(d, h, digits, signed=True) for d, h in pairs]
    triangles = [BETTER if (d > 0) == higher else WORSE for d in delta]
    return texts, [mark if p < LEVEL else "" for mark, p in zip(triangles, p_values, strict=True)]


def tail_columns(rows: pd.DataFrame, score: str, competing: pd.Series) -> list[Column]:
    """Return the bounds of the worst samples, where the records have these quantiles."""
    higher, columns = higher_is_better(rows, score), []
    half = (rows[f"{score}.high"] - rows[f"{score}.low"]) / 2
    digits = decimals_for(half.median(), 2, rows[score].abs().median())
    for tail in TAILS:
        name = f"{score}.q{tail if higher else 1 - tail:g}"
        if name in rows and rows[name].notna().any():
            cells = [with_spread(value, math.nan, digits) for value in rows[name]]
            title = f"{score}, worst {100 * tail:g} %"
            columns.append(Column(title, cells, rows[name].where(competing), higher))
    return columns


def _state(row: pd.Series) -> str:
    return NONE if row["status.quality"] == "done" else str(row["status.quality"])


def with_spread(value: float, spread: float, decimals: int, unit: str = "", signed: bool = False) -> str:
    """Write `value +- spread` in so many decimals; a spread that is NaN is left out, a value makes it `-`."""
    if math.isnan(value):
        return NONE
    shown = round(value, decimals) + 0.0  # no negative zero
    text = f"{shown:{'+' if signed else ''}.{decimals}f}{unit}"
    return text if math.isnan(spread) else f"{text} {PLUS_MINUS} {spread:.{decimals}f}"


def decimals_for(value: float, digits: int, otherwise: float = math.nan) -> int:
    """Return the decimals that show so many significant digits of a value (of the other to three if it is 0 or NaN)."""
    if not value > 0:
        return decimals_for(otherwise, 3) if otherwise > 0 else 3
    return min(max(digits - 1 - math.floor(math.log10(value)), 0), 6)
