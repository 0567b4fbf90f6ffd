"""What the interactive plot of report.html draws, as data."""

import json
import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from smoothbench.report.data.frame import higher_is_better, scores
from smoothbench.report.figures.style import baseline_family, family_styles
from smoothbench.report.page import data_uris
from smoothbench.report.page.players import clips_id
from smoothbench.report.tables.column import is_timed
from smoothbench.report.tables.point_tables import against_real, fidelity, measured
from smoothbench.storage.record_parts import RecordedSchedule


def has_chart(frame: pd.DataFrame) -> bool:
    """Say whether any point has a cost and a score."""
    rows = measured(frame)
    return bool((rows[scores(frame)].notna().any(axis="columns") & rows["share"].notna()).any())


def raster_id(number: int, schedule: RecordedSchedule) -> str:
    """Return the id of a schedule's picture, made of the schedule: the order of the points does not matter."""
    content = json.dumps([schedule.sites, schedule.rows]).encode()
    return f"raster-{number}-{data_uris.digest(content)}"


def chart(number: int, frame: pd.DataFrame) -> dict[str, Any]:
    """Return the costs, scores, families and points of a group as data; points name the elements that belong to them.

    Each point has `[value, spread]` for each cost and `[value, low, high]` for each score, or null; where a score is
    `paired`, these are of its difference to the reference, which is 0 for the reference itself.
    """
    rows = measured(frame)
    costs = {"share": ("MACs, share of the reference (%)", 100.0)}
    if is_timed(rows):
        costs["latency"] = ("latency of a batch (s)", 1.0)
    names = [*against_real(frame), *fidelity(frame)] if len(rows) else []
    families = families_of(frame)
    paired = {name: bool(rows[f"{name}.delta"].notna().any()) for name in names}
    order = {each["name"]: i for i, each in enumerate(families)}
    points = []
    for i, row in rows.iterrows():
        point = {"label": row["label"], "family": order[row["family"]], "reference": bool(row["reference"])}
        point |= {"row": f"row-{number}-{i}", "strip": f"strip-{number}-{row['sample_id']}"}
        point["clips"] = clips_id(number, row["sample_id"])
        planned = row["schedule"]
        point["raster"] = raster_id(number, planned) if isinstance(planned, RecordedSchedule) else None
        point["x"] = [_numbers(row, (key, f"{key}.mad"), factor) for key, (_, factor) in costs.items()]
        point["y"] = [_shown(row, name, paired[name]) for name in names]
        points.append(point)
    stated = [
        {"name": name, "higher": higher_is_better(frame, name), "paired": paired[name]} for name in names
    ]
    return {
        "costs": [label for label, _ in costs.values()],
        "scores": stated,
        "families": families,
        "points": points,
    }


def families_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the families that were measured: name, colour, marker, and whether the line is dashed."""
    measured_families, baseline = set(measured(frame)["family"]), baseline_family(frame)
    return [
        {"name": name, "colour": colour, "marker": marker, "dashed": name == baseline}
        for name, (colour, marker) in family_styles(frame).items()
        if name in measured_families
    ]


def _shown(row: pd.Series, score: str, paired: bool) -> list[float | None] | None:
    """Value and interval of a score, or of its difference to the reference."""
    if paired and row["reference"] and not math.isnan(row[score]):
        return [0.0, 0.0, 0.0]
    name = f"{score}.delta" if paired else score
    return _numbers(row, (name, f"{name}.low", f"{name}.high"))


def _numbers(row: pd.Series, keys: Iterable[str], factor: float = 1.0) -> list[float | None] | None:
    """The numbers of a point, absent ones as null; null for all where the first is missing."""
    numbers = [factor * float(row.get(key, math.nan)) for key in keys]
    return None if math.isnan(numbers[0]) else [None if math.isnan(each) else each for each in numbers]
