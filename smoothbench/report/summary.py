"""What a terminal shows of a results folder."""

from pathlib import Path

import pandas as pd

from smoothbench.report.data.frame import costs_alone, load, unfinished
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.document import group_title
from smoothbench.report.tables import paper_comparison
from smoothbench.report.tables.column import BETTER, LEVEL, WORSE
from smoothbench.report.tables.point_tables import brief_columns, by_turns, strings
from smoothbench.report.tables.text import to_text
from smoothbench.report.verdict.section import plain

WIDTH = 120  # of a terminal
MOST_SCORES = 4


def summary(folder: Path) -> str:
    """Write short tables of a results folder as plain text, and the points not done with their reasons."""
    text = ""
    for _, part in comparable_groups(load(folder)):
        first = part.iloc[0]
        seeds = "" if costs_alone(part).all() else f", seeds {first['seeds']}"
        papers = paper_comparison.text(part, WIDTH)
        text += f"{first['experiment']}: {group_title(part, 'experiment', 'seeds')}{seeds}\n\n"
        text += f"{judged}\n" if (judged := plain(part, WIDTH)) else ""
        text += f"{_table(part)}\n" if seeds or not papers else ""  # costs alone stand in the papers' tables
        text += f"{papers}\n" if papers else ""
        for _, row in unfinished(part).iterrows():
            text += f"{row['status']}: {row['label']}: {row['reason']}\n"
    return text


def _table(part: pd.DataFrame) -> str:
    """As many scores as fit, at least one of each kind, and where the others are."""
    names = by_turns(part)
    for count in range(min(len(names), MOST_SCORES), -1, -1):
        table = to_text(strings(brief_columns(part, names[:count])))
        if count <= 2 or max(map(len, table.splitlines())) <= WIDTH:
            break
    left = len(names) - count
    marks = f"{BETTER} better, {WORSE} worse than the reference: p < {LEVEL} after Holm's correction\n"
    more = f"{left} more scores, the worst samples and all costs: " if left else "all costs: "
    return f"{table}\n{marks if names else ''}{more}report.md and table.csv\n"
