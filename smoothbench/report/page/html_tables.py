"""Tables that need neither ranks nor sorting, as parts of the page."""

from collections.abc import Iterable, Sequence
from html import escape

from smoothbench.report.tables.paper_cells import PaperTable


def section(title: str, tables: Sequence[PaperTable], notes: Iterable[str] = ()) -> str:
    """Write a heading, what holds for all tables, and the tables with their own notes; "" without any."""
    if not tables:
        return ""
    return "\n".join([f"<h3>{escape(title)}</h3>{_facts(notes)}", *map(_table, tables)])


def _table(table: PaperTable) -> str:
    cells = table.table()
    heads = "".join(f'<th scope="col">{escape(title)}</th>' for title in cells)
    lines = []
    for first, *others in cells.to_numpy():
        rest = "".join(f"<td>{escape(cell)}</td>" for cell in others)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{rest}</tr>')
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
    return (
        f"{region}<table><caption>{escape(table.title)}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>{_facts(table.notes)}"
    )


def _facts(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="facts">{items}</ul>' if items else ""
