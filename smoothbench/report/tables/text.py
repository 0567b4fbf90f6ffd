"""Tables of strings as Markdown and as plain text."""

import pandas as pd

PLUS_MINUS, NONE = "\u00b1", "-"


def to_markdown(table: pd.DataFrame, ranks: pd.DataFrame | None = None) -> str:
    """Write a table of strings in Markdown; cells of rank 1 are bold, of rank 2 underlined."""
    cells = [[_escape(cell) for cell in row] for row in table.to_numpy()]
    if ranks is not None:
        pairs = zip(cells, ranks.to_numpy(), strict=True)
        cells = [[_emphasise(*pair) for pair in zip(*row, strict=True)] for row in pairs]
    heading = [_escape(str(title)) for title in table.columns]
    rule = ["---"] + ["---:"] * (len(heading) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in [heading, rule, *cells]) + "\n"


def to_text(table: pd.DataFrame) -> str:
    """Write a table of strings in aligned columns, the first to the left, the others to the right."""
    rows = [[str(title) for title in table.columns], *table.to_numpy().tolist()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_align(*pair) for pair in enumerate(zip(row, widths, strict=True))) for row in rows]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def grid(heading: list[str], rows: list[list[str]]) -> str:
    """Write rows of strings in Markdown."""
    return to_markdown(pd.DataFrame(rows, columns=heading, dtype=object))


def _align(position: int, cell: tuple[str, int]) -> str:
    text, width = cell
    return text.rjust(width) if position else text.ljust(width)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _emphasise(cell: str, rank: int) -> str:
    """`<ins>` and not `<u>`: the forges' sanitisers keep it."""
    return {1: f"**{cell}**", 2: f"<ins>{cell}</ins>"}.get(rank, cell)
