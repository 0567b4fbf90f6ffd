"""Cells of what a paper printed, and a table of them beside ours."""

import math
from dataclasses import dataclass

import pandas as pd

from smoothbench.report.tables.column import with_spread
from smoothbench.report.tables.text import NONE, to_markdown

INFERRED = "\u2021"
OF_NOTES = "In brackets: read in somebody's note on the paper, not in the paper itself."


@dataclass(frozen=True)
class PaperTable:
    """One table; `droppable` are the columns that go first where there is little room."""

    title: str
    cells: dict[str, list[str]]
    notes: list[str]
    droppable: tuple[str, ...] = ()

    def table(self) -> pd.DataFrame:
        """Return the table of strings, without columns that say nothing."""
        return pd.DataFrame(non_empty(self.cells), dtype=object)

    def markdown(self) -> list[str]:
        """Write title, table and notes as lines of Markdown."""
        notes = [f"- {note}" for note in self.notes]
        return [f"**{self.title}**", "", to_markdown(self.table()), *notes, ""]


def non_empty(cells: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the columns in which anything stands."""
    return {name: column for name, column in cells.items() if set(column) != {NONE}}


def has(rows: pd.DataFrame, column: str) -> bool:
    """Say whether any point has a value there."""
    return column in rows and bool(rows[column].notna().any())


def values(rows: pd.DataFrame, name: str) -> pd.Series:
    """Return a column, NaN where no record has it."""
    return rows[name] if name in rows else pd.Series(math.nan, index=rows.index)


def title(rows: pd.DataFrame, what: str) -> str:
    """Say what a table shows, and of which paper's table."""
    first = rows.iloc[0]
    if not has(rows, "paper"):
        return what
    return f"{what}: {first['paper']} (arXiv:{first['paper.arxiv']}), Table {first['paper.table']}"


def _inferred(rows: pd.DataFrame) -> list[bool]:
    """Where nobody published the schedule and ours is not calibrated either."""
    pairs = zip(values(rows, "paper.inferred"), values(rows, "planned"), strict=True)
    return [inferred is True and planned != "calibrated" for inferred, planned in pairs]


def labels(rows: pd.DataFrame) -> list[str]:
    """Return the points' labels; a mark stands where the paper's schedule is inferred."""
    points = zip(rows["label"], rows["reference"], _inferred(rows), strict=True)
    return [
        f"{label}{' (reference)' if reference else ''}{f' {INFERRED}' if inferred is True else ''}"
        for label, reference, inferred in points
    ]


def marked(rows: pd.DataFrame) -> list[str]:
    """Explain the marks, where they stand."""
    notes = [
        f"{INFERRED} inferred: nobody published this row's schedule; how many evaluations it computes in full"
        " follows from its TMACs."
    ]
    marks = notes if any(label.endswith(INFERRED) for label in labels(rows)) else []
    return [*marks, *([OF_NOTES] if "note" in set(values(rows, "paper.source")) else [])]


def printed(rows: pd.DataFrame, key: str) -> list[str]:
    """Return the paper's values as it printed them; in brackets those that were read in a note on the paper."""
    columns = (values(rows, f"reported.{key}{end}") for end in ("", ".interval", ".decimals"))
    return [
        NONE if math.isnan(value) else bracketed(with_spread(value, spread, int(decimals)), source)
        for value, spread, decimals, source in zip(*columns, values(rows, "paper.source"), strict=True)
    ]


def bracketed(cell: str, source: object) -> str:
    """Return a paper's value, in brackets where it was read in a note on the paper."""
    return f"({cell})" if source == "note" else cell


def fixed(column: pd.Series, decimals: int, unit: str = "", signed: bool = False) -> list[str]:
    """Write numbers without a spread."""
    return [with_spread(value, math.nan, decimals, unit, signed) for value in column]


def finer(rows: pd.DataFrame, key: str) -> int:
    """Return one decimal more than the paper's, so that its rounding is seen."""
    most = values(rows, f"reported.{key}.decimals").max()
    return 3 if math.isnan(most) else int(most) + 1


def verdicts(rows: pd.DataFrame, key: str) -> list[str]:
    """Say whether the points agree with the paper, as `papers` decided."""
    return [str(each) for each in values(rows, f"reported.{key}.within").astype(object).fillna(NONE)]
