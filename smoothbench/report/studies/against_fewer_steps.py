"""Every cached point beside no cache with fewer steps at its cost: a section of a report.

A cached point is better than fewer steps where it is better than the next uncached point that costs no less, and
worse where it is worse than the next one that costs no more. Differences are paired, as points share their seeds; the
p-values of one score and one solver, over all points and both directions, are corrected by Holm's procedure. An
experiment's YAML names it by `report: smoothbench.report.studies.against_fewer_steps`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from metrics.inference import Estimate, holm, paired_difference
from metrics.score import Score
from smoothbench.report.data.frame import higher_is_better
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.studies.section import Section
from smoothbench.report.tables.column import BETTER, LEVEL, WORSE, decimals_for, with_spread
from smoothbench.report.tables.point_tables import by_turns, measured
from smoothbench.report.tables.text import NONE, to_markdown
from smoothbench.report.tables.two_points import comparable, influences
from smoothbench.report.verdict.budgets import is_uncached

SCORES = 4  # columns
SLACK = 1e-6  # of a share of MACs, within which two costs are equal
Side = Literal["no less", "no more"]


@dataclass(frozen=True)
class Comparison:
    """A cached point minus an uncached one that costs no less or no more: the paired difference and its p by Holm."""

    point: int
    rival: int
    side: Side
    difference: Estimate
    p: float = 1.0

    def mark(self, higher: bool) -> str:
        """Return the triangle of a difference that Holm's test confirms, and that the rival's cost does not explain."""
        wins = (self.difference.value > 0) == higher
        if self.p >= LEVEL or wins != (self.side == "no less"):
            return ""
        return BETTER if wins else WORSE


def section(frame: pd.DataFrame) -> Section:
    """Compare all cached points of an experiment with uncached ones of fewer steps; empty where there are none."""
    lines: list[str] = []
    for name, group in comparable_groups(frame):
        table = against_fewer_steps(group, Path(frame.attrs["folder"]))
        if table is not None:
            lines += [f"### Against fewer steps{f' ({name})' if name else ''}", "", to_markdown(table)]
    if lines:
        lines += [
            "Paired differences to no cache with fewer steps (in brackets), by the uncached point's solver:"
            f" {BETTER} better than one that costs no less, {WORSE} worse than one that costs no more, p < {LEVEL}"
            " after Holm's correction over a column; without a triangle neither is shown.",
            "",
        ]
    return Section(lines)


def against_fewer_steps(group: pd.DataFrame, folder: Path) -> pd.DataFrame | None:
    """Return a row for each cached point and a column for each score and solver; None without points to compare.

    ValueError where per-sample scores are missing or damaged.
    """
    rows = measured(group)
    rows = rows[rows["status.quality"] == "done"].reset_index(drop=True)
    uncached = is_uncached(rows)
    fewer = uncached & (rows["steps"] < rows.loc[rows["reference"].astype(bool), "steps"].max())
    cached = rows[~uncached & ~rows["same_as"].astype(bool)].sort_values(
        "share", ascending=False, kind="stable"
    )
    if not len(cached) or not fewer.any():
        return None
    values = {i: influences(folder, rows.loc[i]) for i in [*cached.index, *rows.index[fewer]]}
    cells = {
        "policy": cached["label"].tolist(),
        "MACs (%)": [with_spread(100 * share, np.nan, 1) for share in cached["share"]],
    }
    for score in by_turns(group)[:SCORES]:
        higher = higher_is_better(rows, score)
        for solver, rivals in rows[fewer].groupby("solver"):
            compared = _compared(rows, cached, rivals, score, values)
            title = f"{score}, {solver}"
            cells[title] = [_cell(rows, [c for c in compared if c.point == i], higher) for i in cached.index]
    return pd.DataFrame(cells, dtype=object)


def _compared(
    rows: pd.DataFrame,
    cached: pd.DataFrame,
    rivals: pd.DataFrame,
    score: str,
    values: dict[int, dict[str, np.ndarray]],
) -> list[Comparison]:
    """All comparisons of one score with the uncached points of one solver, their p-values corrected together."""
    comparisons: list[Comparison] = []
    for i, point in cached.iterrows():
        for side, rival in _rivals(point["share"], rivals):
            if comparable(rows, i, rival, score) and score in values[i] and score in values[rival]:
                a, b = (Score(float(rows.at[n, score]), values[n][score]) for n in (i, rival))
                comparisons.append(Comparison(int(i), rival, side, paired_difference(a, b)))
    adjusted = holm([one.difference.p_value for one in comparisons]) if comparisons else []
    return [
        Comparison(one.point, one.rival, one.side, one.difference, p)
        for one, p in zip(comparisons, adjusted, strict=True)
    ]


def _rivals(share: float, rivals: pd.DataFrame) -> list[tuple[Side, int]]:
    """The cheapest uncached point that costs no less than this share, and the dearest that costs no more."""
    above = rivals[rivals["share"] >= share - SLACK]
    below = rivals[rivals["share"] <= share + SLACK]
    sides: list[tuple[Side, int]] = []
    if len(above):
        sides.append(("no less", int(above["share"].idxmin())))
    if len(below):
        sides.append(("no more", int(below["share"].idxmax())))
    return sides


def _cell(rows: pd.DataFrame, compared: list[Comparison], higher: bool) -> str:
    """The difference that a triangle stands for, else the one to the rival that costs no less."""
    if not compared:
        return NONE
    shown = next((one for one in compared if one.mark(higher)), compared[0])
    estimate = shown.difference
    half = estimate.high - estimate.value
    text = with_spread(estimate.value, half, decimals_for(half, 2, abs(estimate.value)), signed=True)
    return f"{text} ({rows.at[shown.rival, 'steps']}) {shown.mark(higher)}".strip()
