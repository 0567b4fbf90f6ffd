"""The verdict in words and in a table of one row for each budget."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan

import pandas as pd

from metrics.inference import Estimate
from smoothbench.report.tables.column import DOWN, LEVEL, TAILS, UP, decimals_for, with_spread
from smoothbench.report.tables.point_tables import fidelity
from smoothbench.report.tables.text import NONE
from smoothbench.report.verdict.budgets import Budget
from smoothbench.report.verdict.comparisons import Comparisons
from smoothbench.report.verdict.findings import Finding, Verdict

NAMED = 3  # methods that are spelled out; more are counted
FACTORS = (2.0, 3.0)  # of the budgets that the paragraph speaks of
TITLE = "Verdict"
BETTER, UNCLEAR = "better than", "not shown to differ from"
NOTE = (
    "A method is *unbeaten* at a budget where no other within it is shown to be better; two unbeaten methods cannot be"
    " told apart. Its dearest point within the budget stands for it; methods with the same samples count as the first"
    " of them. Differences are paired, of the first method named, with 95 % intervals that are not corrected for its"
    " having the best value; over fewer steps: over the best of no cache with fewer steps within the budget."
)


@dataclass(frozen=True)
class Statement:
    """What one score says at one budget: the unbeaten methods by their labels, how they stand, and what they win.

    `near`: whether the score compares with the reference's samples. Of more than `NAMED` methods `more` are not among
    the labels. `costs` are the methods' shares of the cost of no cache.
    """

    budget: str
    score: str
    near: bool
    labels: tuple[str, ...]
    costs: tuple[float, ...]
    more: int
    standing: str
    facts: tuple[str, ...]


def statements(verdict: Verdict) -> list[Statement]:
    """Return what each score says at the budgets asked for, else at 2 and 3 times fewer MACs, else at the first."""
    close = fidelity(verdict.rows)
    return [
        Statement(
            str(budget),
            _title(score),
            score.score in close,
            tuple(_labels(verdict.rows, finding.unbeaten[:NAMED])),
            tuple(float(verdict.rows.at[i, f"relative.{budget.saving}"]) for i in finding.unbeaten[:NAMED]),
            max(0, len(finding.unbeaten) - NAMED),
            _standing(finding),
            tuple(_differences(verdict.rows, score, finding)),
        )
        for budget in _spoken(verdict)
        for score, finding in zip(verdict.scores, verdict.findings[budget], strict=True)
    ]


def paragraph(verdict: Verdict) -> list[str]:
    """Return the verdict's sentences, on the budgets of `statements`."""
    sentences = (sentence for budget in _spoken(verdict) for sentence in _sentences(verdict, budget))
    return [*sentences, basis(verdict)]


def basis(verdict: Verdict) -> str:
    """Return the sentence on the number of samples and of tests."""
    tests = f"{verdict.compared} paired comparisons, p < {LEVEL} after Holm's correction over all of them"
    return f"N = {int(verdict.rows['num_samples'].iloc[0])}; {tests}; 95 % intervals are not corrected."


def _spoken(verdict: Verdict) -> list[Budget]:
    in_macs = [budget for budget in verdict.findings if budget.saving == "MACs"]
    budgets = [b for b in in_macs if b.by_user] or [b for b in in_macs if b.factor in FACTORS]
    return budgets or list(verdict.findings)[:1]


def table(verdict: Verdict) -> pd.DataFrame:
    """Return a row for each budget: the unbeaten methods of each score, and what the first of them wins and loses."""
    rows = []
    for budget, findings in verdict.findings.items():
        row = {"budget": str(budget)}
        for score, finding in zip(verdict.scores, findings, strict=True):
            row |= _cells(verdict.rows, score, finding)
        rows.append(row)
    return pd.DataFrame(rows, dtype=object).fillna(NONE)


def _cells(rows: pd.DataFrame, score: Comparisons, finding: Finding) -> dict[str, str]:
    name, first = score.score, next(iter(finding.unbeaten), None)
    stem = name.partition("@")[0]
    cells = {f"unbeaten by {_title(score)}": f"{_named(rows, finding.unbeaten)} (of {len(finding.methods)})"}
    if finding.over_none is not None:
        cells[f"{stem} over no cache"] = _difference(finding.over_none)
    cells[f"{stem} over fewer steps"] = _over_fewer(finding)
    tail = f"{name}.q{TAILS[0] if score.higher else 1 - TAILS[0]:g}"
    if tail in rows and rows[tail].notna().any():
        value = nan if first is None else float(rows.at[first, tail])
        cells[f"{stem}, worst {100 * TAILS[0]:g} %"] = with_spread(value, nan, decimals_for(value, 3))
    return cells


def _title(score: Comparisons) -> str:
    return f"{score.score} {UP if score.higher else DOWN}"


def _over_fewer(finding: Finding) -> str:
    if finding.unbeaten and finding.fewer == finding.unbeaten[0]:
        return "is fewer steps"
    return _difference(finding.over_fewer)


def _sentences(verdict: Verdict, budget: Budget) -> list[str]:
    """A sentence for each score: who is unbeaten, and what the first of them wins over fewer steps and no cache."""
    sentences: list[str] = []
    for score, finding in zip(verdict.scores, verdict.findings[budget], strict=True):
        start = f"At {budget}, by {_title(score)}" if not sentences else f"By {_title(score)}"
        facts = "; ".join(_differences(verdict.rows, score, finding))
        sentences.append(
            f"{start}, {_named_standing(verdict.rows, finding)}{f' ({facts})' if facts else ''}."
        )
    return sentences


def _standing(finding: Finding) -> str:
    """How the unbeaten methods stand, without their names."""
    unbeaten, methods = len(finding.unbeaten), len(finding.methods)
    if not methods:
        return f"none of the {finding.unscored} methods within the budget has that score"
    if methods == 1:
        return f"is the only method within the budget{' with that score' if finding.unscored else ''}"
    if unbeaten == 1:
        return f"alone is unbeaten of {methods} methods"
    if unbeaten == methods:
        return f"none of the {methods} methods can be told apart from another"
    return f"{unbeaten} of {methods} methods are unbeaten and cannot be told apart"


def _named_standing(rows: pd.DataFrame, finding: Finding) -> str:
    unbeaten, standing = finding.unbeaten, _standing(finding)
    if not unbeaten or len(unbeaten) == len(finding.methods) > 1:
        return standing
    named = _named(rows, unbeaten)
    return f"{named} {standing}" if len(unbeaten) == 1 else f"{standing}: {named}"


def _differences(rows: pd.DataFrame, score: Comparisons, finding: Finding) -> list[str]:
    if not finding.unbeaten:
        return []
    first, facts = finding.unbeaten[0], []
    if finding.over_fewer is not None and finding.fewer is not None:
        shown = BETTER if score.beats(first, finding.fewer) else UNCLEAR
        facts.append(f"{shown} {rows.at[finding.fewer, 'label']}: {_difference(finding.over_fewer)}")
    if finding.over_none is not None:
        facts.append(f"{_beside_none(finding)} no cache: {_difference(finding.over_none)}")
    if facts and len(finding.unbeaten) > 1:
        facts[0] = f"{rows.at[first, 'label']} is {facts[0]}"
    return [*facts, *_losses(rows, finding)]


def _beside_none(finding: Finding) -> str:
    """How the first of the unbeaten methods compares with no cache, by the tests."""
    first = finding.unbeaten[0]
    if first in finding.worse_than_none:
        return "worse than"
    return BETTER if first in finding.better_than_none else UNCLEAR


def _losses(rows: pd.DataFrame, finding: Finding) -> list[str]:
    """Which others of the unbeaten methods are shown to be worse than no cache, where no cache has the score."""
    worse, unbeaten = finding.worse_than_none, finding.unbeaten
    if finding.over_none is None or len(unbeaten) == 1:
        return []
    if len(worse) in (0, len(unbeaten)):
        return [
            f"{'all' if worse else 'none'} of these {'are' if worse else 'is'} shown to be worse than no cache"
        ]
    others = [i for i in worse if i != unbeaten[0]]
    return [f"shown to be worse than no cache: {_named(rows, others)}"] if others else []


def _named(rows: pd.DataFrame, numbers: Sequence[int]) -> str:
    more = len(numbers) - NAMED
    return "; ".join([*_labels(rows, numbers[:NAMED]), *([f"{more} more"] if more > 0 else [])]) or NONE


def _labels(rows: pd.DataFrame, numbers: Iterable[int]) -> list[str]:
    return [str(rows.at[i, "label"]) for i in numbers]


def _difference(estimate: Estimate | None) -> str:
    if estimate is None:
        return NONE
    half = estimate.high - estimate.value
    digits = decimals_for(half, 2, abs(estimate.value))
    ends = (with_spread(end, nan, digits, signed=True) for end in (estimate.low, estimate.high))
    return f"{with_spread(estimate.value, nan, digits, signed=True)} [{', '.join(ends)}]"
