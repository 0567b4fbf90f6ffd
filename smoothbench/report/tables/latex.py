"""The table of an experiment for a paper."""

from collections.abc import Sequence
from types import MappingProxyType

import pandas as pd

from smoothbench.report.data.distinctions import distinction
from smoothbench.report.tables.column import Column
from smoothbench.report.tables.point_tables import brief_columns, by_turns, measured
from smoothbench.report.tables.text import NONE, PLUS_MINUS

MOST_SCORES = 3  # what a page is wide enough for
MATHS = MappingProxyType(
    {"<": "<", ">": ">", "|": "|", "\u00b1": r"\pm", "\u00d7": r"\times", "\u2191": r"\uparrow"}
    | {"\u2193": r"\downarrow", "\u2192": r"\to", "\u2264": r"\le", "\u2265": r"\ge", "\u0394": r"\Delta"}
    | {
        "\u03b1": r"\alpha",
        "\u03b2": r"\beta",
        "\u03b3": r"\gamma",
        "\u03b4": r"\delta",
        "\u03b5": r"\epsilon",
    }
    | {"\u03b7": r"\eta", "\u03b8": r"\theta", "\u03ba": r"\kappa", "\u03bb": r"\lambda", "\u03bc": r"\mu"}
    | {"\u03c1": r"\rho", "\u03c3": r"\sigma", "\u03c4": r"\tau", "\u03c6": r"\phi", "\u03c9": r"\omega"}
)
ESCAPED = MappingProxyType(
    {each: rf"\{each}" for each in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", '"': "''"}
    | {"[": "{[}", "*": "{*}"}  # which would belong to the end of the line before
    | {"\u2020": r"\textsuperscript{\dag}", "\u2013": "--", "\u2014": "---", "\u2019": "'"}
    | {each: f"${command}$" for each, command in MATHS.items()}
)


def to_latex(frame: pd.DataFrame, names: Sequence[str] | None = None) -> str:
    """Write a `tabular` that needs booktabs alone: best bold, second underlined, an asterisk for Holm's p < 0.05.

    Scores are rounded as in the report's table, and followed by the difference to the reference with the
    half width of its 95 % interval. Args: names, of the scores; None for the first few of `headline`.
    ValueError if the points cannot share a table.
    """
    columns = brief_columns(frame, by_turns(frame)[:MOST_SCORES] if names is None else names)
    families = list(measured(frame)["family"])
    heading, cells = _cells(columns)
    first = frame.iloc[0]
    rest = distinction(first, "experiment", "model", "N", "seeds")
    lines = [
        f"% {_comment(first['experiment'])}: {_comment(first['model'])}, N = {first['num_samples']}"
        f" (seeds {first['seeds']}){_comment(', ' * bool(rest) + rest)}. Needs \\usepackage{{booktabs}}.",
        r"% Value $\pm$ half the 95 % interval; $\Delta$: paired difference to the reference, the same;",
        r"% *: Holm-corrected p < 0.05 over the rows of this table. Bold: best, underlined: second.",
        rf"\begin{{tabular}}{{l{'r' * (len(heading) - 1)}}}",
        r"\toprule",
        _line(heading),
        r"\midrule",
    ]
    for i, row in enumerate(cells):
        lines += [r"\addlinespace"] if i and families[i] != families[i - 1] else []
        lines.append(_line(row))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def escape(text: str) -> str:
    """Escape text so that TeX prints it as it stands: specials escaped, the rest of Unicode as `?`."""
    return "".join(_letter(each) for each in text)


def _cells(columns: Sequence[Column]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows; differences get a column of their own."""
    heading: list[str] = []
    columns_of_cells: list[list[str]] = []
    for column in columns:
        heading.append(escape(column.title))
        columns_of_cells.append(
            [_emphasise(_value(c), r) for c, r in zip(column.cells, column.ranks(), strict=True)]
        )
        if any(column.deltas):
            heading.append(r"$\Delta$")
            columns_of_cells.append(
                [_difference(*pair) for pair in zip(column.deltas, column.marks, strict=True)]
            )
    return heading, [list(row) for row in zip(*columns_of_cells, strict=True)]


def _value(cell: str) -> str:
    """A minus sign before a digit is one, and a lone dash an en dash."""
    if cell == NONE:
        return "--"
    return f"$-${escape(cell[1:])}" if cell[:1] == "-" and cell[1:2].isdigit() else escape(cell)


def _difference(delta: str, mark: str) -> str:
    """A sign is a sign in math mode alone."""
    if not delta:
        return ""
    text = delta.replace(PLUS_MINUS, r"\pm")
    return rf"${text}$\textsuperscript{{*}}" if mark else f"${text}$"


def _emphasise(cell: str, rank: int) -> str:
    return {1: rf"\textbf{{{cell}}}", 2: rf"\underline{{{cell}}}"}.get(rank, cell)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _comment(text: str) -> str:
    return " ".join(escape(text).split())


def _letter(letter: str) -> str:
    """Return a letter as TeX prints it; the accented ones of Latin-1 work in every font encoding."""
    latin = "\u00c0" <= letter <= "\u00ff" and letter not in "\u00d0\u00de\u00f0\u00fe\u00f7"
    return ESCAPED.get(letter, letter if " " <= letter <= "~" or latin else " " if letter.isspace() else "?")
