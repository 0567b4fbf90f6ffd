"""The verdict of one table as the head of the page: what is best at 2 and 3 times fewer MACs, and the table of all."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from smoothbench.report.verdict.section import VerdictText
from smoothbench.report.verdict.words import NOTE, TITLE, Statement

NEAR, OTHER = "Nearest to the reference's samples", "Best quality"
APART = '<span class="tie" title="cannot be told apart"> \u2248 </span>'
READING = (
    "cannot be told apart. Unbeaten: no other method at this cost or less is shown to be better."
    " %: cost, no cache = 100 %."
)


def verdict_html(text: VerdictText | None) -> str:
    """Write a card for each budget that the paragraph speaks of; "" without a verdict."""
    if text is None:
        return ""
    if text.table is None:
        sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in text.sentences)
        return f'<div class="verdict"><h3>{TITLE}</h3>{sentences}</div>'
    cards = [
        _card(budget, list(group)) for budget, group in groupby(text.statements, key=lambda one: one.budget)
    ]
    basis = f'<p class="note">{APART.strip()} {escape(READING)} {escape(text.sentences[-1])}</p>'
    return f'<div class="verdict"><div class="cards">{"".join(cards)}</div>{basis}</div>'


def budgets_html(text: VerdictText | None) -> str:
    """Write the table of all budgets; "" without a verdict."""
    if text is None or text.table is None:
        return ""
    heads = "".join(f'<th scope="col">{escape(str(title))}</th>' for title in text.table.columns)
    rows = "".join(_row(*cells) for cells in text.table.astype(str).to_numpy())
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{TITLE}">'
    body = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    note = f'<p class="note">{escape(NOTE.replace("*", ""))}</p>'
    return f'<div class="budgets"><h3>{TITLE} at every budget</h3>{region}{body}</div>{note}</div>'


def _card(budget: str, of_budget: Sequence[Statement]) -> str:
    return (
        f'<section class="card"><h3>At {escape(budget)}</h3>{"".join(map(_statement, of_budget))}</section>'
    )


def _statement(one: Statement) -> str:
    """The score, the unbeaten methods, and in small letters how they stand and what they win."""
    pairs = zip(one.labels, one.costs, strict=True)
    labels = [f"<b>{escape(label)}</b> <small>{100 * cost:.0f} %</small>" for label, cost in pairs]
    labels += [f"{one.more} more"] if one.more else []
    facts = "".join(f"<li>{escape(_unbroken(fact))}</li>" for fact in (one.standing, *one.facts))
    return (
        f'<p class="by">{NEAR if one.near else OTHER} <span>{escape(one.score)}</span></p>'
        f'<p class="best">{APART.join(labels)}</p><ul class="why">{facts}</ul>'
    )


def _row(first: str, *others: str) -> str:
    cells = "".join(f"<td>{escape(_unbroken(cell))}</td>" for cell in others)
    return f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>'


def _unbroken(cell: str) -> str:
    """A cell whose intervals stay on one line."""
    return cell.replace(", +", ",\u00a0+").replace(", -", ",\u00a0-")
