"""Any two points of an experiment in pairs, from their per-sample influence values."""

from pathlib import Path
from typing import Any

import numpy as np

from metrics.score import Score, interval, paired_difference
from smoothbench.report.frame import load


def compare(folder: str | Path, first: str, second: str) -> str:
    """A line for each score that both have: first minus second on the same seeds, with its 95 % interval.

    ValueError for a name that no point, or more than one, of the folder has, and for other seeds.
    """
    a, b = (_scores(Path(folder), name) for name in (first, second))
    if not np.array_equal(a.pop("seeds"), b.pop("seeds")):
        raise ValueError(f"{first} and {second} have other seeds: nothing to pair")
    lines = [f"{first} minus {second}, paired, 95 % intervals"]
    for name in sorted(a.keys() & b.keys()):
        value, se = paired_difference(a[name], b[name])
        low, high = interval(value, se)
        lines.append(f"  {name:24s} {value:+.3f} [{low:+.3f}, {high:+.3f}]")
    return "\n".join(lines)


def _scores(folder: Path, name: str) -> dict[str, Any]:
    frame = load(folder)
    rows = frame[frame["name"] == name]
    if len(rows) != 1:
        raise ValueError(
            f"{len(rows)} points are called {name}: choose of {', '.join(sorted(set(frame['name'])))}"
        )
    row = rows.iloc[0]
    files = list((folder / "scores").glob(f"*-{row['point_id']}.npz"))
    if not files:
        raise ValueError(f"{name} has no per-sample scores in {folder}/scores: run it again")
    with np.load(files[0], allow_pickle=False) as data:
        arrays = dict(data)
    return {
        key: Score(float(row[key]), values) if key != "seeds" else values for key, values in arrays.items()
    }
