"""A table of results as text, with its best cells marked."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from smoothbench.report.tables.column import Column
from smoothbench.report.tables.point_tables import ranking, strings
from smoothbench.report.tables.text import to_markdown, to_text


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """A table for reading, one row a point; notebooks show it as Markdown.

    `frame` holds the cells as text, rounded to what their uncertainty allows; `ranks` holds 1 for the best cell of a
    column, 2 for the second, 0 for the others and for what does not compete.
    """

    frame: pd.DataFrame
    ranks: pd.DataFrame

    @classmethod
    def of(cls, columns: Sequence[Column]) -> "Table":
        """Build the table of a report's columns."""
        return cls(strings(columns), ranking(columns))

    def markdown(self) -> str:
        """Return the table in Markdown, the best of a column bold, the second underlined."""
        return to_markdown(self.frame, self.ranks)

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def __repr__(self) -> str:
        return f"<Table of {len(self.frame)} points>"

    def __str__(self) -> str:
        return to_text(self.frame)
