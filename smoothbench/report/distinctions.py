"""What tells the tables of a folder apart, and the points of a table: named wherever either is shown."""

import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd

from smoothbench.facts import Fact, differing

MOST = 4  # facts beside a label or of one kind in a heading; more are counted
LETTERS = 10.5  # of a title in an inch, about
ID = 8  # digits of an id that stands for what no record tells


def with_distinctions(frame: pd.DataFrame, setting: Sequence[str]) -> pd.DataFrame:
    """The frame with `apart`, the facts in which its table differs from others, and with labels that differ.

    Args: setting, the columns that points of one table share. A label that two points of a table have gets in
    brackets what they differ in, and one whose numerics are not its reference's gets these.
    """
    parts = [part for _, part in frame.groupby(list(setting), sort=False)]
    facts = differing([_setting_facts(part) for part in parts])
    labels = pd.concat([_labels(part) for part in parts])
    apart = pd.Series(index=frame.index, dtype=object)
    for part, own in zip(parts, _distinct(parts, facts), strict=True):
        apart[part.index] = pd.Series([own] * len(part), index=part.index, dtype=object)
    return frame.assign(label=labels.reindex(frame.index), apart=apart)


def apart(row: pd.Series, *shown: str) -> str:
    """What tells a row's table from the others of its folder, but for facts whose names are shown already.

    Empty for a folder with one table.
    """
    facts: Sequence[Fact] = row.get("apart", ())
    return ", ".join(_several([fact for fact in facts if fact.name not in shown]))


def titled(frame: pd.DataFrame, title: str, width: float, *shown: str) -> str:
    """A picture's title, and below it what tells its table from others, in lines that fit a width in inches."""
    letters = max(24, round(width * LETTERS))
    more = textwrap.wrap(apart(frame.iloc[0], *shown), letters, break_on_hyphens=False)
    return "\n".join([title, *more])


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
    texts = [tuple(map(str, own)) for own in facts]
    found = []
    for part, own, text in zip(parts, facts, texts, strict=True):
        reference = Fact("", "reference", str(part["reference_id"].iloc[0])[:ID])
        found.append((*own, reference) if texts.count(text) > 1 else tuple(own))
    return found


def _labels(part: pd.DataFrame) -> pd.Series:
    """The labels of a table's points, each of its own."""
    labels: dict[Any, str] = {}
    for _, rows in part.groupby("label", sort=False):
        facts = differing(list(rows["facts"])) if len(rows) > 1 else [[]]
        for (index, row), own in zip(rows.iterrows(), facts, strict=True):
            labels[index] = _bracketed(str(row["label"]), [*own, *_rounding(part, row, own)])
    named = pd.Series(labels, dtype=object)
    repeated = named.duplicated(keep=False)
    named[repeated] = named[repeated] + " (point " + part["point_id"].str[:ID] + ")"
    return named


def _rounding(part: pd.DataFrame, row: pd.Series, known: Sequence[Fact]) -> list[Fact]:
    """The numerics of a point in which it differs from its reference."""
    reference = part[part["reference"].astype(bool)]
    if reference.empty:
        return []
    own, _ = differing([row["facts.numerics"], reference["facts.numerics"].iloc[0]])
    return [fact for fact in own if fact not in known]


def _bracketed(label: str, facts: Sequence[Fact]) -> str:
    return f"{label} ({', '.join(_several(facts))})" if facts else label


def _several(facts: Sequence[Fact]) -> list[str]:
    """Facts as text; of many of one kind the first, and how many more there are."""
    texts: list[str] = []
    for kind in dict.fromkeys(fact.kind for fact in facts):
        own = [str(fact) for fact in facts if fact.kind == kind]
        few = own[:MOST] if kind else own
        texts += [*few, f"and {len(own) - len(few)} more"] if len(few) < len(own) else few
    return texts
