"""What one panel of cost against quality shows: points, and the intervals that the paired data give."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from smoothbench.report.data.frame import higher_is_better, is_reference
from smoothbench.report.figures.pareto_front import front
from smoothbench.report.tables.column import LEVEL

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Panel:
    """Points with a cost and a score, arrays [n] in the order of `rows`, the cheapest first.

    `y` is the paired difference to the reference where the score has one (`paired`), with the interval of the
    difference from `low` to `high`, so that the reference itself is 0 without an interval; else it is the score, such
    as a distance to the reference's samples, with its own interval.
    """

    score: str
    higher: bool
    paired: bool
    rows: pd.DataFrame
    x: Vector
    spread: Vector | None  # MAD of the latency; MACs are counted and have none
    y: Vector
    low: Vector
    high: Vector
    front: NDArray[np.bool_]


def panel_of(frame: pd.DataFrame, score: str, x: str) -> Panel:
    """Return the panel of a score against `macs` (GMACs per sample) or `latency` (seconds a batch)."""
    rows = frame[frame[x].notna() & frame[score].notna()].sort_values(x, kind="stable").reset_index(drop=True)
    cost = rows[x].to_numpy(dtype=np.float64) / (1e9 if x == "macs" else 1.0)
    paired = bool(frame[f"{score}.delta"].notna().any())
    name = f"{score}.delta" if paired else score
    values = rows[[name, f"{name}.low", f"{name}.high"]].to_numpy(dtype=np.float64, copy=True)
    if paired:
        values[is_reference(rows, frame) & np.isnan(values[:, 0])] = 0.0
        rows, cost, values = _without_nan(rows, cost, values)
    values = np.where(np.isnan(values), values[:, :1], values)  # a score without an interval has no bar
    spread = rows["latency.mad"].to_numpy(dtype=np.float64) if x == "latency" else None
    y, low, high = values.T
    higher = higher_is_better(frame, score)
    return Panel(score, higher, paired, rows, cost, spread, y, low, high, front(cost, y, higher))


def tells_apart(frame: pd.DataFrame, score: str) -> bool:
    """Return whether a score tells any two points apart.

    A paired one does where Holm's test confirms any difference to the reference, another where two intervals do not
    overlap.
    """
    if frame[f"{score}.delta"].notna().any():
        return bool((frame[f"{score}.delta.p.holm"] < LEVEL).any())
    low, high = frame[f"{score}.low"].max(), frame[f"{score}.high"].min()
    return math.isnan(low) or bool(low > high)


def _without_nan(rows: pd.DataFrame, cost: Vector, values: Vector) -> tuple[pd.DataFrame, Vector, Vector]:
    known = ~np.isnan(values[:, 0])
    return rows[known].reset_index(drop=True), cost[known], values[known]
