"""Latency under other conditions than the usual ones: a table for each, never mixed in a column."""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from smoothbench.json_checks import explain, require
from smoothbench.report.data.latency import add_latency
from smoothbench.report.tables.column import TIMES, cost_column, decimals_for, speedup_column
from smoothbench.report.tables.paper_cells import PaperTable, fixed, has
from smoothbench.report.tables.point_tables import measured, point_label
from smoothbench.report.tables.realised_speedup import measured_share, reported_share, speedup
from smoothbench.storage.latency_file import Latency

log = logging.getLogger(__name__)

TITLE = "Latency under other conditions"
NOTES = (
    "Speed-ups are over the reference in the same rounds; implied: what linear MACs, the papers' convention,"
    " allow; realised: the first as a share of the second.",
    "Peak memory is what was allocated on a GPU, and the whole process on a CPU; the cache is a part of it.",
)
CONDITION = ("dtype", "mode", "batch_size", "kind", "device", "threads", "rounds", "warmup")
POINT = ("name", "label", "family", "solver", "steps", "reference", "cell_id", "macs", "macs_linear")


@dataclass(frozen=True)
class Conditions:
    """The files of `latency/` that can be read, the widest precision first, and a line for each other."""

    contents: list[Latency] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def tables(self, frame: pd.DataFrame) -> list[PaperTable]:
        """Return a table for each condition under which points of the group were measured."""
        return [_table(each, _rows(each, frame), frame) for each in self._of(frame)]

    def section(self, frame: pd.DataFrame) -> list[str]:
        """Write the tables as lines of Markdown; none where nothing was measured."""
        lines = [line for each in self.tables(frame) for line in each.markdown()]
        return [f"### {TITLE}", "", *(f"- {note}" for note in NOTES), "", *lines] if lines else []

    def numbers(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return what latency.csv holds: a line for each condition and point, at full precision."""
        tables = [_numbers(each, _rows(each, frame), frame) for each in self._of(frame)]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def _of(self, frame: pd.DataFrame) -> list[Latency]:
        return [each for each in self.contents if len(_rows(each, frame))]


def read(folder: Path) -> Conditions:
    """Read the conditions of a results folder; a warning names each file that cannot be read."""
    contents, ignored = [], []
    for path in sorted(folder.glob("latency/*.json")):
        try:
            content = Latency.from_json(json.loads(path.read_text(encoding="utf-8")))
            _check(content, path.stem)
            contents.append(content)
        except (OSError, ValueError, KeyError, RecursionError) as error:
            ignored.append(f"latency/{path.name}: {explain(error)}")
            log.warning("ignored %s", ignored[-1])
    contents.sort(key=lambda content: content.batch_size)
    # float32 first, then eager
    contents.sort(key=lambda content: (content.dtype or "", content.mode or ""), reverse=True)
    return Conditions(contents, ignored)


def _check(content: Latency, name: str) -> None:
    """ValueError where it is no file of conditions of that name."""
    condition = (
        f"{require(content.dtype, 'dtype', str)}-{require(content.mode, 'mode', str)}-{content.batch_size}"
    )
    if condition != name:
        raise ValueError(f"it holds {condition[:60]}")
    for point in content.points.values():
        if len(point.seconds) != len(point.reference_seconds):
            raise ValueError("its rounds do not pair with the reference's")


def _rows(content: Latency, frame: pd.DataFrame) -> pd.DataFrame:
    """The points that were measured under a condition, with its latency in place of the usual one."""
    usual = [name for name in frame if str(name).startswith(("latency", "speedup_"))]
    rows = add_latency(measured(frame).drop(columns=usual), content)
    return rows[rows["latency"].notna()].reset_index(drop=True)


def _table(content: Latency, rows: pd.DataFrame, frame: pd.DataFrame) -> PaperTable:
    nothing = pd.Series(False, index=rows.index)
    cells = {
        "policy": [point_label(frame, row) for _, row in rows.iterrows()],
        "latency (s)": cost_column("", rows["latency"], nothing, rows["latency.mad"]).cells,
        "speed-up": speedup_column(rows, "speedup_measured", nothing).cells,
        "implied": fixed(speedup(rows, frame, "macs_linear"), 2, TIMES),
        "realised": fixed(measured_share(rows, frame), 2),
        "realised in the paper": fixed(reported_share(rows, frame), 2),
        "cache (MB)": _bytes(rows["latency.cache_bytes"] / 1e6),
        "peak memory (GB)": _bytes(rows["latency.peak_bytes"] / 1e9),
    }
    what = f"{content.dtype}, {content.mode}, batch of {content.batch_size}"
    return PaperTable(what, cells, _notes(content, rows, frame))


def _bytes(column: pd.Series) -> list[str]:
    return fixed(column, decimals_for(float(column[column > 0].min()), 3))


def _notes(content: Latency, rows: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    where = f"{content.device} ({content.kind}, threads: {content.threads})"
    notes = [f"Measured: {where}, {content.rounds} interleaved rounds, decoding apart."]
    if has(rows, "paper.hardware"):
        notes.append(f"The paper: {rows['paper.hardware'].dropna().iloc[0]}.")
    others = measured(frame)
    if left := list(others.loc[~others["cell_id"].isin(rows["cell_id"]), "label"]):
        notes.append(f"Not measured: {', '.join(left)}.")
    return notes


def _numbers(content: Latency, rows: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    columns: dict[str, Any] = {key: _known(getattr(content, key)) for key in CONDITION}
    columns |= {key: rows[key] for key in POINT}
    timed: Sequence[str] = [str(name) for name in rows if str(name).startswith(("latency", "speedup_"))]
    columns |= {name: rows[name] for name in timed if name.removeprefix("latency.") not in CONDITION}
    columns["speedup_macs_linear"] = speedup(rows, frame, "macs_linear")
    columns["realised"] = measured_share(rows, frame)
    columns |= {name: rows[name] for name in ("reported.latency", "reported.tmacs") if has(rows, name)}
    columns["reported.realised"] = reported_share(rows, frame)
    return pd.DataFrame(columns, index=rows.index)


def _known(condition: str | int | None) -> str | float:
    return math.nan if condition is None else condition
