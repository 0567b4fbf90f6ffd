"""Points as trackers know runs: a name, parameters, numbers and tags."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from smoothbench.errors import UsageError
from smoothbench.report.data.frame import load, scores

COSTS = ("macs", "macs_linear", "share", "speedup_macs", "latency", "speedup_measured", "num_samples")
ENDS = ("", ".se", ".low", ".high", ".delta", ".delta.low", ".delta.high", ".delta.p")
TAGS = (
    "experiment",
    "model",
    "family",
    "label",
    "solver",
    "point_id",
    "sample_id",
    "status",
    "reason",
    "seeds",
)


@dataclass(frozen=True)
class TrackedRun:
    """One point of an experiment.

    `parameters` are its settings, `numbers` its costs and scores, none of them missing; `tags` say what it is.
    """

    name: str
    point_id: str
    parameters: Mapping[str, str | int | float]
    numbers: Mapping[str, float]
    tags: Mapping[str, str]


def tracked_frame(folder: Path) -> pd.DataFrame:
    """Read the points of a results folder; UsageError where it has no record, or one that cannot be read."""
    try:
        frame = load(folder)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if unread := frame.attrs["ignored"]:
        raise UsageError(f"{folder}: {len(unread)} of its files cannot be read ({unread[0]}): run it again")
    return frame


def tracked_runs(frame: pd.DataFrame) -> Iterator[TrackedRun]:
    """Yield the points of a frame as runs, in the experiment's order."""
    names = [name for name in COSTS if name in frame]
    names += [f"{score}{end}" for score in scores(frame) for end in ENDS if f"{score}{end}" in frame]
    for _, row in frame.iterrows():
        numbers = {name: float(row[name]) for name in names if pd.notna(row[name])}
        yield TrackedRun(
            str(row["name"]),
            str(row["point_id"]),
            dict(_parameters(row)),
            {name: value for name, value in numbers.items() if math.isfinite(value)},
            {tag: str(row[tag]) for tag in TAGS if tag in row and str(row[tag])},
        )


def _parameters(row: pd.Series) -> Iterator[tuple[str, str | int | float]]:
    """What decides the samples, and what the record states of machine and versions."""
    yield "steps", int(row["steps"])
    if pd.notna(row["guidance"]):
        yield "guidance", float(row["guidance"])
    for fact in (*row["facts"], *row["facts.solver"], *row["facts.model"]):
        yield f"{fact.kind or 'point'}.{fact.name}", fact.text
    provenance = row["provenance"]
    for key in ("device", "kind", "git", "time", "command"):
        if provenance.get(key) is not None:
            yield key, str(provenance[key])
    versions = provenance.get("versions")
    for name, version in (versions if isinstance(versions, Mapping) else {}).items():
        yield f"version.{name}", str(version)
