"""The verdict of one table as the head of its report, in Markdown and as plain text."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from smoothbench.report.data.frame import scores
from smoothbench.report.tables.text import to_markdown
from smoothbench.report.verdict.findings import Verdict, verdict
from smoothbench.report.verdict.words import NOTE, TITLE, Statement, paragraph, statements, table


@dataclass(frozen=True)
class VerdictText:
    """The sentences and the table of a verdict; without a table the sentence says why there is none.

    `statements` say the same as the sentences in parts, and the last sentence is on samples and tests. `families` are
    those that are unbeaten at any budget, those of the fewest unbeaten first: a family that the tests single out stands
    before one of many that cannot be told apart.
    """

    sentences: tuple[str, ...]
    table: pd.DataFrame | None = None
    statements: tuple[Statement, ...] = ()
    families: tuple[str, ...] = ()


def verdict_text(frame: pd.DataFrame) -> VerdictText | None:
    """Return the verdict of a table in words; None where nothing was compared, or no per-sample score is there."""
    folder = Path(frame.attrs["folder"])
    if not (folder / "scores").is_dir():  # a published study has none
        return None
    try:
        judged = verdict(frame, folder)
    except ValueError as error:
        return VerdictText((f"There is no verdict: {error}.",))
    if judged is None:
        return _no_reference(frame)
    parts = tuple(statements(judged))
    return VerdictText(tuple(paragraph(judged)), table(judged), parts, _families(judged))


def _no_reference(frame: pd.DataFrame) -> VerdictText | None:
    """Say that there is no verdict where methods were scored and no cache is not among the points."""
    if frame["reference"].any() or not scores(frame):
        return None
    return VerdictText(("There is no verdict: no cache is not among the points.",))


def _families(judged: Verdict) -> tuple[str, ...]:
    findings = [one for of_budget in judged.findings.values() for one in of_budget]
    findings.sort(key=lambda one: len(one.unbeaten))
    return tuple(dict.fromkeys(judged.rows.at[i, "family"] for one in findings for i in one.unbeaten))


def markdown(text: VerdictText | None) -> list[str]:
    """Return the lines of Markdown that a table's report opens with; none without a verdict."""
    if text is None:
        return []
    lines = [f"### {TITLE}", "", " ".join(text.sentences), ""]
    return lines if text.table is None else [*lines, to_markdown(text.table), NOTE, ""]


def plain(frame: pd.DataFrame, width: int) -> str:
    """Return the sentences for a terminal, in lines of at most `width` letters; "" without a verdict."""
    text = verdict_text(frame)
    return "" if text is None else "\n".join(textwrap.wrap(" ".join(text.sentences), width)) + "\n"
