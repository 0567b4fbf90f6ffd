"""Reported beside measured: what a paper printed of a setting's points, and what came out here."""

import textwrap
from collections.abc import Iterator

import pandas as pd

from smoothbench.report.data.frame import scores
from smoothbench.report.data.papers import NO_SCORES, OTHER_N, PART, TOLERANCE, convention_of
from smoothbench.report.tables.column import cost_column, score_column
from smoothbench.report.tables.paper_cells import (
    PaperTable,
    finer,
    fixed,
    has,
    labels,
    marked,
    non_empty,
    printed,
    title,
    values,
    verdicts,
)
from smoothbench.report.tables.point_tables import measured
from smoothbench.report.tables.realised_speedup import latency
from smoothbench.report.tables.text import NONE, to_text

GROUP = ("paper", "paper.table", "convention.scope", "convention.rows")  # no table mixes these
TITLE = "Reported beside measured"
IN_INTERVAL = "in the paper's interval"


def tables(frame: pd.DataFrame) -> list[PaperTable]:
    """Return costs, scores and latency that papers report beside ours, paper by paper and table by table."""
    comparisons = []
    for rows in _groups(frame):
        comparisons += [_costs(rows)] if has(rows, "reported.tmacs") or has(rows, "convention.tmacs") else []
        comparisons += [_score(rows, score) for score in _reported_scores(rows)]
        comparisons += [latency(rows, frame)] if has(rows, "reported.latency") else []
    return comparisons


def section(frame: pd.DataFrame) -> list[str]:
    """Write the tables as lines of Markdown; none where no paper reports anything."""
    comparisons = tables(frame)
    lines = [line for each in comparisons for line in each.markdown()]
    return [f"### {TITLE}", "", *lines] if comparisons else []


def text(frame: pd.DataFrame, width: int) -> str:
    """Write the tables as plain text; columns that can be spared are left out until lines fit the width."""
    texts = []
    for comparison in tables(frame):
        table, notes = comparison.table(), comparison.notes
        for name in comparison.droppable:
            if max(map(len, to_text(table).splitlines())) > width:
                table = table.drop(columns=name, errors="ignore")
                notes = [note for note in notes if not note.startswith(f"{name}: ")]
        lines = "\n".join(textwrap.fill(note, width) for note in notes)
        texts.append(f"{comparison.title}\n\n{to_text(table)}\n{lines}\n")
    return "\n".join(texts)


def _groups(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    rows = _with_lacking(frame)
    keys = [key for key in GROUP if has(rows, key)]
    if keys:
        known = rows[rows[keys].notna().any(axis="columns")]
        for _, part in known.groupby(keys, sort=False, dropna=False):
            yield part.reset_index(drop=True)


def _with_lacking(frame: pd.DataFrame) -> pd.DataFrame:
    """The measured points, and those with a printed cost that has nothing beside it yet, in their table."""
    if not has(frame, "reported.tmacs") or not has(frame, "convention.tmacs"):
        return measured(frame)
    lacking = frame["reported.tmacs"].notna() & (frame["status.cost"] == "skipped")
    rows = frame[lacking | frame["point_id"].isin(measured(frame)["point_id"])].reset_index(drop=True)
    table = rows.groupby(["paper", "paper.table"])
    conventions = {key: rows[key].fillna(table[key].transform("first")) for key in GROUP[2:]}
    return rows.assign(**conventions)


def _costs(rows: pd.DataFrame) -> PaperTable:
    digits, nothing = finer(rows, "tmacs"), pd.Series(False, index=rows.index)
    power, unit = (1e12, "T") if rows["macs_linear"].max() >= 1e12 else (1e9, "G")
    cells = {
        "policy": labels(rows),
        "steps": [str(steps) for steps in rows["steps"]],
        "reported": printed(rows, "tmacs"),
        "computed": fixed(values(rows, "convention.tmacs"), digits),
        "explained": fixed(values(rows, "convention.tmacs_explained"), digits),
        "diff.": fixed(values(rows, "reported.tmacs.difference"), digits, signed=True),
        "agrees": verdicts(rows, "tmacs"),
        f"ours ({unit})": cost_column("", rows["macs_linear"] / power, nothing).cells,
        f"all ({unit})": cost_column("", rows["macs"] / power, nothing).cells,
        "schedule": [str(each) for each in values(rows, "planned").astype(object).fillna(NONE)],
    }
    if not (values(rows, "convention.remainder_per_evaluation") > 0).any():
        del cells["explained"]  # the same as computed
    notes = [*_convention(rows, non_empty(cells)), *marked(rows)]
    what = title(rows, "TMACs reported and computed")
    return PaperTable(what, cells, notes, ("steps", "schedule", "explained"))


def _convention(rows: pd.DataFrame, cells: dict[str, list[str]]) -> list[str]:
    notes = {
        "computed": _counted(rows) if "computed" in cells else "",
        "explained": _remainder(rows) if "explained" in cells else "",
        "agrees": f"within {TOLERANCE} TMACs and half of the last printed digit.",
        "ours": "MACs of a generated sample, guidance included, in the denoiser's linear layers and convolutions;"
        " all: with the attention products.",
        "schedule": "what decides which layers a row computes.",
    }
    return [f"{name}: {note}" for name, note in notes.items() if name in cells or name == "ours"]


def _counted(rows: pd.DataFrame) -> str:
    first = rows[rows["convention.tmacs"].notna()].iloc[0]
    convention = convention_of(first)
    return convention.describe() + _parts(first) + (f" {convention.note}" if convention.note else "")


def _parts(first: pd.Series) -> str:
    """What the pipeline of the first row adds up to; nothing where its parts are not counted."""
    parts = {str(key).removeprefix(PART): first[key] for key in first.index if str(key).startswith(PART)}
    sums = ", ".join(f"{name.replace('_', ' ')} {tmacs:,.3f}" for name, tmacs in parts.items() if tmacs > 0)
    return f" With the rest of the pipeline, once a sample ({first['label']}: {sums})." if sums else ""


def _remainder(rows: pd.DataFrame) -> str:
    largest = values(rows, "convention.remainder_per_evaluation").idxmax()
    return convention_of(rows.loc[largest]).describe_remainder()


def _reported_scores(rows: pd.DataFrame) -> list[str]:
    pairs = [(score, score.partition("@")[0]) for score in scores(rows)]
    return [score for score, key in pairs if key not in NO_SCORES and has(rows, f"reported.{key}")]


def _score(rows: pd.DataFrame, score: str) -> PaperTable:
    key, _, count = score.partition("@")
    rows = rows[rows[f"reported.{key}"].notna()].reset_index(drop=True)
    column = score_column(rows, score, pd.Series(False, index=rows.index))
    cells = {
        "policy": labels(rows),
        "reported": printed(rows, key),
        f"measured {column.title}": column.cells,
        "difference": fixed(values(rows, f"reported.{key}.difference"), finer(rows, key), signed=True),
        IN_INTERVAL: verdicts(rows, key),
    }
    notes = ["Intervals: what the paper printed (its spread over trials), and half of our 95 % interval."]
    if OTHER_N in cells[IN_INTERVAL]:
        theirs = int(rows["paper.num_samples"].max())
        notes.append(f"{OTHER_N}: the paper's scores are of {theirs:,} samples, these of {int(count):,}.")
    return PaperTable(title(rows, f"{key} reported and measured"), cells, notes + marked(rows))
