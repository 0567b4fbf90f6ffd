"""The tables of an experiment: what each point costs, saves and loses."""

import json
from collections.abc import Sequence

import pandas as pd

from smoothbench.report.data.frame import is_reference, scores
from smoothbench.report.data.groups import require_one_group
from smoothbench.report.tables.column import (
    Column,
    budget_columns,
    cost_column,
    fastest_column,
    is_timed,
    score_column,
    share_column,
    speedup_column,
    tail_columns,
)
from smoothbench.storage.typed_json import Stored

HIDDEN = (".config_hash", ".metric", ".by_encoder")  # ends of columns that table.csv does without
# metrics of the distance between the samples' distribution and that of real data, the one preferred first
DISTANCES = ("fd", "fd_windows", "kid", "tag_divergence", "fd_inf", "sfd")
JUDGES = frozenset({"torchmetric", "network_score"})  # metrics that look at a sample alone, or at its prompt


def report_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return all costs and all scores as strings, one row for each point that has a cost or a score.

    A score reads `value +- half width of its 95 % interval`, then in brackets its paired difference to the
    reference; a triangle says that Holm's p over the policies is under 0.05: up is better, down is worse.
    ValueError if the points cannot share a table.
    """
    return strings(table_columns(frame, scores(frame)))


def ranks(frame: pd.DataFrame) -> pd.DataFrame:
    """Rank each cell of `report_table`: 1 the best of its column, 2 the second, 0 neither.

    The reference and points with its very samples do not compete; equal values share a rank.
    """
    return ranking(table_columns(frame, scores(frame)))


def strings(columns: Sequence[Column]) -> pd.DataFrame:
    """Return columns as a table of strings."""
    return pd.DataFrame({column.title: column.text() for column in columns}, dtype=object)


def ranking(columns: Sequence[Column]) -> pd.DataFrame:
    """Return the ranks of the cells of `strings`."""
    return pd.DataFrame({column.title: column.ranks() for column in columns})


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame without what is long and no number: what table.csv holds, at full precision."""
    hidden = [name for name in frame if str(name).endswith(HIDDEN) or str(name).startswith("facts")]
    shown = frame.drop(columns=["schedule", "provenance", "record", "captions", "distinction", *hidden])
    return shown.map(_cell)


def _cell(value: object) -> object:
    """A number or a text; of what has parts its JSON."""
    value = value.to_json() if isinstance(value, Stored) else value
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the points that have a cost or a score: the rows of the table."""
    done = (frame["status.quality"] == "done") | (frame["status.cost"] == "done")
    return frame[done].reset_index(drop=True)


def against_real(frame: pd.DataFrame) -> list[str]:
    """Return the scores that compare samples with real data: the reference has them too, or others a difference."""
    reference = frame[frame["reference"].astype(bool)]
    return [
        score
        for score in scores(frame)
        if frame[f"{score}.delta"].notna().any() or reference[score].notna().any()
    ]


def quality(frame: pd.DataFrame) -> str | None:
    """Return the score that stands for all that compare with real data; None where there is none.

    It is the plainest distance to the real distribution, else the plainest other score but for those that have no real
    data beside them: the proxies of VBench, and networks that judge a sample alone.
    """
    real = against_real(frame)
    metrics = {score: set(frame.loc[frame[score].notna(), f"{score}.metric"]) for score in real}
    distances = [score for metric in DISTANCES for score in real if metric in metrics[score]]
    others = [s for s in real if not s.startswith("vbproxy_") and metrics[s].isdisjoint(JUDGES)]
    return next(iter([*distances, *others]), None)


def fidelity(frame: pd.DataFrame) -> list[str]:
    """Return the scores that compare samples with the uncached ones of the same seeds."""
    real = against_real(frame)
    return [score for score in scores(frame) if score not in real]


def headline_scores(frame: pd.DataFrame) -> list[str]:
    """Return the scores of verdict and headline: the plainest of nearness, and that of quality where there is one."""
    score = quality(frame)
    return [*fidelity(frame)[:1], *([] if score is None else [score])]


def by_turns(frame: pd.DataFrame) -> list[str]:
    """Order scores for where there is little room, by turns of both kinds: those of a headline first."""
    first, close = quality(frame), fidelity(frame)
    real = sorted(against_real(frame), key=lambda score: score != first)
    turns = [pair for i in range(max(len(real), len(close))) for pair in (real[i : i + 1], close[i : i + 1])]
    return [score for turn in turns for score in turn]


def point_label(frame: pd.DataFrame, row: pd.Series) -> str:
    """Return a point's label with its marks: reference, skips nothing, same samples as another."""
    marks = []
    if row["reference"]:
        marks.append("reference")
    if row["degenerate"]:
        marks.append("skips nothing")
    if row["same_as"]:
        same = (frame["name"] == row["same_as"]) & (frame["sample_id"] == row["sample_id"])
        twins = frame.loc[same, "label"]
        marks.append(f"= {twins.iloc[0] if len(twins) else row['same_as']}")
    return f"{row['label']} ({'; '.join(marks)})" if marks else str(row["label"])


def table_columns(frame: pd.DataFrame, names: Sequence[str]) -> list[Column]:
    """Return all costs, and the scores of these names with their differences to the reference."""
    require_one_group(frame)
    rows = measured(frame)
    competing = _competing(rows, frame)
    columns = [
        _labels(frame, rows),
        Column("steps", [str(steps) for steps in rows["steps"]]),
        cost_column("MACs (G)", rows["macs"] / 1e9, competing),
        share_column(rows, competing),
        *budget_columns(rows),
    ]
    if is_timed(rows):
        columns.append(cost_column("latency (s)", rows["latency"], competing, rows["latency.mad"]))
        columns.append(speedup_column(rows, "speedup_macs", competing))
    columns.append(fastest_column(rows, competing))
    return columns + [score_column(rows, score, competing) for score in names]


def fidelity_columns(frame: pd.DataFrame) -> list[Column]:
    """Return how far samples are from the uncached ones of the same seeds: means, and bounds of the worst."""
    require_one_group(frame)
    rows = measured(frame)
    rows = rows[~rows["reference"].astype(bool)].reset_index(drop=True)
    competing = _competing(rows, frame)
    columns = [_labels(frame, rows), share_column(rows, competing), fastest_column(rows, competing)]
    for score in fidelity(frame):
        columns += [score_column(rows, score, competing), *tail_columns(rows, score, competing)]
    return columns


def brief_columns(frame: pd.DataFrame, names: Sequence[str]) -> list[Column]:
    """Return share of MACs, the speed-up and the scores of these names, for where there is little room."""
    require_one_group(frame)
    rows = measured(frame)
    competing = _competing(rows, frame)
    columns = [_labels(frame, rows), share_column(rows, competing), *budget_columns(rows)]
    columns.append(fastest_column(rows, competing))
    return columns + [score_column(rows, score, competing) for score in names]


def _labels(frame: pd.DataFrame, rows: pd.DataFrame) -> Column:
    return Column("policy", [point_label(frame, row) for _, row in rows.iterrows()])


def _competing(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.Series:
    return pd.Series(~is_reference(rows, frame), index=rows.index)
