"""Any two points of an experiment in pairs, from their per-sample influence values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metrics.inference import paired_difference
from metrics.score import Score
from smoothbench.errors import UsageError
from smoothbench.report.data.distinctions import distinction
from smoothbench.report.data.frame import load, scores
from smoothbench.report.data.groups import require_one_group
from smoothbench.storage.files import read_arrays


def compare(folder: str | Path, first: str, second: str) -> str:
    """Write a line for each score that both have: first minus second on the same seeds, its interval and p.

    Points are called by name or by point_id. ValueError for what names no point, or more than one, for points of two
    tables (another model, another reference, other seeds), and for missing or damaged per-sample scores.
    """
    frame = load(folder)
    rows = [point_row(frame, name) for name in (first, second)]
    a, b = (influences(Path(folder), row) for row in rows)
    if not np.array_equal(a["seeds"], b["seeds"]):
        raise ValueError(f"{first} and {second} have other seeds: nothing to pair")
    require_one_group(pd.DataFrame(rows))
    lines = [f"{first} minus {second}, paired; 95 % intervals; p is two-sided, not corrected"]
    for name in sorted(a.keys() & b.keys() & set(scores(frame))):
        if len({row[f"{name}.config_hash"] for row in rows}) > 1:
            lines.append(
                f"  {name:24s} not compared: other code or settings of the metric, run the experiment again"
            )
            continue
        pair = (Score(float(row[name]), each[name]) for row, each in zip(rows, (a, b), strict=True))
        difference = paired_difference(*pair)
        interval = f"{difference.value:+.4g} [{difference.low:+.4g}, {difference.high:+.4g}]"
        p = f"= {difference.p_value:.2g}" if difference.p_value > 1e-99 else "< 1e-99"
        lines.append(f"  {name:24s} {interval:32s} p {p}")
    return "\n".join(lines)


def point_row(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return the row of a point by its name or point_id; UsageError, naming the choice, for none or several."""
    rows = frame[(frame["name"] == name) | (frame["point_id"] == name)]
    if len(rows) != 1:
        facts = [", ".join(filter(None, [row["label"], distinction(row)])) for _, row in rows.iterrows()]
        ids = [f"{point_id} ({text})" for point_id, text in zip(rows["point_id"], facts, strict=True)]
        choice = f"{'point_id' if ids else 'name'} of {', '.join(sorted(ids or set(frame['name'])))}"
        raise UsageError(f"{len(rows)} points are called {name}: choose by {choice}")
    return rows.iloc[0]


def comparable(rows: pd.DataFrame, i: int, j: int, score: str) -> bool:
    """Return whether the same metric, with the same settings, gave a score of two rows."""
    return bool(rows.at[i, f"{score}.config_hash"] == rows.at[j, f"{score}.config_hash"])


def influences(folder: Path, row: Mapping[str, Any] | pd.Series) -> dict[str, NDArray[np.float64]]:
    """Return the influence of each sample on each score of a point, and the seeds; ValueError without a sound file."""
    path = folder / "scores" / f"{row['record']}.npz"
    arrays = read_arrays(path)
    if arrays is None:
        raise ValueError(f"{row['name']} has no readable {path}: run it again")
    if "seeds" not in arrays or any(each.shape != arrays["seeds"].shape for each in arrays.values()):
        raise ValueError(f"{path} does not hold one number for each seed: run {row['name']} again")
    return {name: values.astype(np.float64) for name, values in arrays.items()}
