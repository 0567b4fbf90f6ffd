"""The table of all points in report.html: columns in groups that fold, rows that are sorted and filtered."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

from smoothbench.report.document import group_title
from smoothbench.report.page.chart import families_of
from smoothbench.report.tables.column import Column
from smoothbench.report.tables.point_tables import against_real, fidelity, measured, table_columns

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")
BRIEF_COSTS = ("MACs (%)", "speed-up")
BRIEF_SCORES = 2  # of a folded group


@dataclass(frozen=True)
class ColumnGroup:
    """Columns under one heading, and the titles of those that stay where the group is folded."""

    title: str
    columns: Sequence[Column]
    brief: Sequence[str]


def points_table(number: int, frame: pd.DataFrame) -> str:
    """Write the table of a setting; without scripts every column is shown."""
    labels, *groups = _groups(frame)
    columns = [column for group in groups for column in group.columns]
    ranks = [column.ranks() for column in columns]
    lines = []
    for i, (family, (_, row)) in enumerate(zip(_families(frame), measured(frame).iterrows(), strict=True)):
        cells = [_cell(column, i, rank[i]) for column, rank in zip(columns, ranks, strict=True)]
        head = f'<th scope="row">{escape(labels.columns[0].cells[i])}</th>'
        stays = " data-reference" if row["reference"] else ""
        lines.append(f'<tr id="row-{number}-{i}" data-family="{family}"{stays}>{head}{"".join(cells)}</tr>')
    title = escape(f"Table: {group_title(frame)}")
    rows = "\n".join(lines)
    table = f'<table class="sortable" data-part="{number}">{_heads(labels, groups)}\n<tbody>\n{rows}\n</tbody></table>'
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">{table}</div>'


def _groups(frame: pd.DataFrame) -> list[ColumnGroup]:
    """The labels, then costs and both kinds of scores, as far as there are any."""
    real, near = against_real(frame), fidelity(frame)
    columns = table_columns(frame, [*real, *near])
    costs = columns[1 : len(columns) - len(real) - len(near)]
    brief = [column.title for column in costs if column.title in BRIEF_COSTS] or [costs[0].title]
    groups = [ColumnGroup("", columns[:1], ()), ColumnGroup("cost", costs, brief)]
    scored = columns[1 + len(costs) :]
    for title, of_kind in (
        ("quality", scored[: len(real)]),
        ("nearness to the reference's samples", scored[len(real) :]),
    ):
        if of_kind:
            groups.append(ColumnGroup(title, of_kind, [column.title for column in of_kind[:BRIEF_SCORES]]))
    return groups


def _families(frame: pd.DataFrame) -> list[int]:
    """The place of each row's family among those of the chart."""
    places = {family["name"]: i for i, family in enumerate(families_of(frame))}
    return [places[family] for family in measured(frame)["family"]]


def _heads(labels: ColumnGroup, groups: Sequence[ColumnGroup]) -> str:
    """Two lines: the groups, and the columns with their group's place."""
    above = [f'<th scope="colgroup" colspan="{len(group.columns)}">{group.title}</th>' for group in groups]
    below = [f'<th scope="col">{escape(labels.columns[0].title)}</th>']
    for place, group in enumerate(groups):
        for column in group.columns:
            stays = " data-brief" if column.title in group.brief else ""
            below.append(f'<th scope="col" data-group="{place}"{stays}>{escape(column.title)}</th>')
    return (
        f'<thead><tr class="groups"><td></td>{"".join(above)}</tr>'
        f'<tr class="titles">{"".join(below)}</tr></thead>'
    )


def _cell(column: Column, i: int, rank: int) -> str:
    text = escape(column.cells[i])
    shown = {1: f"<strong>{text}</strong>", 2: f"<u>{text}</u>"}.get(rank, text)
    if column.deltas and column.deltas[i]:
        shown += f" <small>{escape(f'{column.deltas[i]} {column.marks[i]}'.strip())}</small>"
    number = NUMBER.match(column.cells[i])
    value = column.values.iloc[i] if column.values is not None else math.nan  # NaN: it does not compete
    sortable = str(float(value)) if not math.isnan(value) else number.group() if number else ""
    return f'<td data-number="{sortable}">{shown}</td>' if sortable else f"<td>{shown}</td>"
