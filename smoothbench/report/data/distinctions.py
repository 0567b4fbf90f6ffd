"""What tells the tables of a folder apart, and the points of a table: named wherever either is shown."""

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from smoothbench.storage.record_differences import Fact, differing_facts

MOST = 4  # facts beside a label or of one kind in a heading; more are counted
LETTERS = 10.5  # of a title in an inch, about
LINES = 4  # below a picture's title; what they have no room for stands in the report's heading
LINE = 0.18  # inches that a line of a title takes
PATH = 40  # letters of a path in a picture; a longer one is cut in the middle
ID = 8  # digits of an id that stands for what no record tells


def with_distinctions(frame: pd.DataFrame, setting: Sequence[str]) -> pd.DataFrame:
    """Add `distinction`, the facts in which a point's table differs from others, and make labels that differ.

    Args: setting, the columns that points of one table share. A label that two points of a table have gets in
    brackets what they differ in, and one whose numerics are not its reference's gets these.
    """
    parts = [part for _, part in frame.groupby(list(setting), sort=False)]
    facts = differing_facts([_setting_facts(part) for part in parts])
    labels = pd.concat([_labels(part) for part in parts])
    column = pd.Series(index=frame.index, dtype=object)
    for part, of_part in zip(parts, _distinct(parts, facts), strict=True):
        column[part.index] = pd.Series([of_part] * len(part), index=part.index, dtype=object)
    return frame.assign(label=labels.reindex(frame.index), distinction=column)


def distinction(row: pd.Series, *known: str) -> str:
    """Say what tells a row's table from the others of its folder, but for facts of names that are known already.

    Empty for a folder with one table.
    """
    facts: Sequence[Fact] = row.get("distinction", ())
    return ", ".join(_several([fact for fact in facts if fact.name not in known]))


def setting_title(frame: pd.DataFrame) -> str:
    """Name the model, the solver and the number of samples; of more than two solvers the reference's, and how many."""
    first, solvers = frame.iloc[0], sorted(set(frame["solver"]))
    if len(solvers) > 2:
        of_reference = frame.loc[frame["reference"].astype(bool), "solver"][:1]
        solvers = [*of_reference, f"{len(solvers) - len(of_reference)} other solvers"]
    return f"{first['model']}, {', '.join(solvers)}, N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{first['num_samples']}"


def picture_title(frame: pd.DataFrame, title: str, width: float, *known: str) -> str:
    """Return a picture's title, and below it what tells its table from others, in lines that fit a width in inches."""
    letters = max(24, round(width * LETTERS))
    facts = re.sub(r"\S*/\S*", _cut, distinction(frame.iloc[0], *known))
    wrapped = textwrap.wrap(facts, letters, break_on_hyphens=False, max_lines=LINES, placeholder=" ...")
    return "\n".join([*textwrap.wrap(title, letters, break_on_hyphens=False), *wrapped])


def write_title(figure: Figure, frame: pd.DataFrame, title: str, *known: str, beside: float = 0.0) -> None:
    """Put a picture's title above it, and make the picture taller by every line after the first.

    Args: beside, inches on its right that stay free.
    """
    text = picture_title(frame, title, figure.get_figwidth() - beside, *known)
    figure.set_figheight(figure.get_figheight() + LINE * text.count("\n"))
    figure.suptitle(text, x=0.012, ha="left", fontsize=10.5, fontweight="bold")


def _cut(path: re.Match[str]) -> str:
    """A path, a long one without its middle."""
    text, half = path[0], (PATH - 3) // 2
    return text if len(text) <= PATH else f"{text[:half]}...{text[-half:]}"


def _setting_facts(part: pd.DataFrame) -> list[Fact]:
    """Everything that a table's points share, from its reference."""
    first, reference = part.iloc[0], part[part["reference"].astype(bool)]
    row = reference.iloc[0] if len(reference) else first
    guidance = "-" if pd.isna(row["guidance"]) else f"{row['guidance']:g}"
    return [
        Fact("", "experiment", str(row["experiment"])),
        Fact("", "model", str(row["model"])),
        *row["facts.model"],
        Fact("", "guidance", guidance),
        Fact("", "solver", ", ".join(dict.fromkeys(part["solver"]))),
        Fact("", "steps", str(row["steps"])),
        *row["facts.solver"],
        Fact("", "N", str(row["num_samples"])),
        Fact("", "seeds", str(row["seeds"])),
        Fact("", "device", str(row["kind"])),
    ]


def _distinct(parts: Sequence[pd.DataFrame], facts: Sequence[list[Fact]]) -> list[tuple[Fact, ...]]:
    """The facts of each table; where two tables have the same, the id of their reference beside these."""
    texts = [tuple(map(str, of_part)) for of_part in facts]
    references = [Fact("", "reference", str(part["reference_id"].iloc[0])[:ID]) for part in parts]
    triples = zip(facts, texts, references, strict=True)
    return [(*of_part, last) if texts.count(text) > 1 else tuple(of_part) for of_part, text, last in triples]


def _labels(part: pd.DataFrame) -> pd.Series:
    """The labels of a table's points, each of its own."""
    labels: dict[Any, str] = {}
    for _, rows in part.groupby("label", sort=False):
        facts = differing_facts(list(rows["facts"]))
        for (index, row), of_row in zip(rows.iterrows(), facts, strict=True):
            labels[index] = _bracketed(str(row["label"]), [*of_row, *_rounding(part, row, of_row)])
    column = pd.Series(labels, dtype=object)
    twins = column.duplicated(keep=False)
    # no sum of columns: where pyarrow is installed, pandas cannot add texts to a column of objects
    for index in column.index[twins]:
        column[index] = f"{column[index]} (point {str(part.at[index, 'point_id'])[:ID]})"
    return column


def _rounding(part: pd.DataFrame, row: pd.Series, known: Sequence[Fact]) -> list[Fact]:
    """The numerics of a point in which it differs from its reference."""
    reference = part[part["reference"].astype(bool)]
    if reference.empty:
        return []
    facts, _ = differing_facts([row["facts.numerics"], reference["facts.numerics"].iloc[0]])
    return [fact for fact in facts if fact not in known]


def _bracketed(label: str, facts: Sequence[Fact]) -> str:
    return f"{label} ({', '.join(_several(facts))})" if facts else label


def _several(facts: Sequence[Fact]) -> list[str]:
    """Facts as text; of many of one kind the first, and how many more there are."""
    texts: list[str] = []
    for kind in dict.fromkeys(fact.kind for fact in facts):
        of_kind = [str(fact) for fact in facts if fact.kind == kind]
        count = MOST if kind else len(of_kind)
        texts += of_kind[:count] + [f"and {len(of_kind) - count} more"] * (len(of_kind) > count)
    return texts
