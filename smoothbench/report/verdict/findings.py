"""What the tests say at each budget: unbeaten methods, and what they lose and win."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metrics.inference import Estimate
from smoothbench.report.tables.point_tables import headline_scores
from smoothbench.report.verdict.budgets import Budget, baseline, budgets, compared_rows, is_uncached, offers
from smoothbench.report.verdict.comparisons import Comparisons, compare_all


@dataclass(frozen=True)
class Finding:
    """What one score shows at one budget, by rows of the table.

    `methods` are all rows compared, `unbeaten` those that none is shown to beat, the best value first. `over_fewer` is
    the first of these minus no cache with fewer steps (row `fewer`, of several solvers the best value); `over_none` is
    it minus no cache. None where there is nothing to compare with.
    """

    methods: tuple[int, ...]
    unbeaten: tuple[int, ...]
    fewer: int | None
    over_fewer: Estimate | None
    over_none: Estimate | None
    worse_than_none: tuple[int, ...]  # unbeaten rows that are shown to be worse than no cache
    better_than_none: tuple[int, ...]
    unscored: int  # methods within the budget that do not have the score


@dataclass(frozen=True)
class Verdict:
    """Findings for each budget and score of one table; `compared` counts the tests that were corrected together.

    `scores` are nearness to the reference's samples, then quality of the distribution, as far as there are both.
    """

    rows: pd.DataFrame
    scores: tuple[Comparisons, ...]
    findings: dict[Budget, tuple[Finding, ...]]

    @property
    def compared(self) -> int:
        """The number of tests that Holm's correction is over."""
        return sum(len(of_score.p) for of_score in self.scores)


def verdict(frame: pd.DataFrame, folder: Path) -> Verdict | None:
    """Judge the points of one table; None where no method is within a budget, or nothing is scored.

    ValueError where per-sample scores are missing or damaged.
    """
    rows = compared_rows(frame)
    if not len(rows):
        return None
    names = headline_scores(rows)
    at = {budget: offers(rows, budget) for budget in budgets(rows)}
    at = {budget: methods for budget, methods in at.items() if methods}
    base = baseline(rows)
    if not names or not at or base is None:
        return None
    scores = compare_all(rows, folder, names, [[*methods, base] for methods in at.values()])
    scores = [of_score for of_score in scores if of_score.values]
    findings = {budget: tuple(_finding(rows, one, at[budget], base) for one in scores) for budget in at}
    return Verdict(rows, tuple(scores), findings)


def _finding(rows: pd.DataFrame, score: Comparisons, methods: Sequence[int], base: int) -> Finding:
    unbeaten, uncached = score.unbeaten(methods), is_uncached(rows)
    fewer = next((i for i in score.ordered(methods) if uncached[i]), None)
    first, against_none = next(iter(unbeaten), None), base in score.values
    compared = score.ordered(methods)
    return Finding(
        tuple(compared),
        tuple(unbeaten),
        fewer,
        None if first is None or fewer in (None, first) else score.difference(first, fewer),
        score.difference(first, base) if first is not None and against_none else None,
        tuple(i for i in unbeaten if against_none and score.beats(base, i)),
        tuple(i for i in unbeaten if against_none and score.beats(i, base)),
        len(methods) - len(compared),
    )
