"""Budgets, and the point that stands for each method at each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from smoothbench.report.data.frame import is_reference
from smoothbench.report.tables.column import TIMES, is_timed
from smoothbench.report.tables.point_tables import measured

FACTORS = (1.5, 2.0, 3.0, 5.0)  # how many times cheaper than no cache
QUESTION = 2  # shares that were asked for (`at`): so few are budgets of their own, more are a survey
NEAR = 0.12  # a budget so near to one of the factors is not one more
SLACK = 1e-6  # of a share, within which two costs are equal
Saving = Literal["MACs", "time"]


@dataclass(frozen=True)
class Budget:
    """So many times fewer MACs, or so many times less time, than no cache; `by_user`: it was asked for, by `at`."""

    factor: float
    saving: Saving
    by_user: bool = False

    def __str__(self) -> str:
        return f"{self.factor:.3g}{TIMES} {'fewer MACs' if self.saving == 'MACs' else 'less time'}"


def budgets(rows: pd.DataFrame) -> list[Budget]:
    """Return the budgets in MACs and, where latency was measured, in time: the usual ones, and those asked for."""
    savings: list[Saving] = ["MACs", "time"] if is_timed(rows) else ["MACs"]
    shares = rows["at"].dropna().unique() if "at" in rows else []
    others = {1 / at for at in shares if all(abs(at * factor - 1) > NEAR for factor in FACTORS)}
    more = others if len(shares) <= QUESTION else set()
    return [
        Budget(factor, saving, by_user=factor in more)
        for saving in savings
        for factor in sorted({*FACTORS, *more})
    ]


def compared_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the points of a table that have scores, with their costs relative to no cache.

    Columns `relative.MACs` and `relative.time`: 1 is the cost of no cache. Times are compared by speed-ups, each of
    which is over the reference in the same rounds: two points may have been timed on different days. Where the
    reference is a fine run it is no offer, and no cache at the steps of the caches is what costs 1.
    """
    rows = measured(frame)
    rows = rows[(rows["status.quality"] == "done") & rows["share"].notna()].reset_index(drop=True)
    base = baseline(rows)
    if base is None:
        return rows.iloc[:0]
    relative = {"relative.MACs": rows["share"] / rows.at[base, "share"]}
    if is_timed(rows):
        relative["relative.time"] = rows.at[base, "speedup_measured"] / rows["speedup_measured"]
    return pd.concat([rows, pd.DataFrame(relative)], axis="columns")


def baseline(rows: pd.DataFrame) -> int | None:
    """Return the row of no cache; None without a reference.

    That is the reference, unless it is a fine run, of more steps than the cached points: then it is the first point of
    as many steps as most of these have, and without a cache.
    """
    references = rows.index[rows["reference"].astype(bool)]
    if not len(references):
        return None
    uncached = is_uncached(rows)
    of_caches = rows.loc[~uncached, "steps"].mode()
    if len(of_caches) and rows.at[references[0], "steps"] > of_caches[0]:
        same = rows[uncached & (rows["steps"] == of_caches[0]) & ~is_reference(rows, rows)]
        if len(same):
            return int(same["order"].idxmin())
    return int(references[0])


def is_uncached(rows: pd.DataFrame) -> pd.Series:
    """Mark the points without a cache, bool [rows]."""
    return rows["schedule"].map(_computes_all).astype(bool)


def _computes_all(schedule: object) -> bool:
    bits = getattr(schedule, "rows", None)
    return bits is not None and not any("0" in row for row in bits)


def offers(rows: pd.DataFrame, budget: Budget) -> list[int]:
    """Return the rows that stand for the methods at a budget: of each family its dearest point within it.

    The choice is made by cost alone, so that no test is of a point chosen for its score. Of points with the same
    samples the first is taken: they are one method.
    """
    costs = rows[f"relative.{budget.saving}"]
    within = rows[(costs <= 1 / budget.factor + SLACK) & ~is_reference(rows, rows)]
    chosen: Sequence[int] = [
        int(costs[points.index].idxmax()) for _, points in within.groupby("family", sort=False)
    ]
    return list(rows.loc[sorted(chosen)].drop_duplicates("sample_id").index)
