"""Measured latency beside the counted MACs, as columns of the frame."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from smoothbench.storage.latency_file import Latency, PointLatency

MEASURED = {
    "latency": "median",
    "latency.mad": "mad",
    "latency.decode": "decode_median",
    "latency.peak_bytes": "peak_bytes",
    "latency.cache_bytes": "cache_bytes",
}
CONDITIONS = ("device", "kind", "threads", "batch_size", "rounds")


def add_latency(frame: pd.DataFrame, latency: Latency | None) -> pd.DataFrame:
    """Add `speedup_macs` and, if latency was measured, its columns and `speedup_measured`.

    Args: latency, the content of latency.json or None; its points are keyed by `cell_id`, that is without
    their seeds, which do not matter to it. A speed-up is that over the reference's seconds in
    the same rounds. ValueError if rounds do not pair.
    """
    columns: dict[str, Any] = {"speedup_macs": 1.0 / frame["share"]}
    if latency is not None:
        points = [latency.points.get(cell_id) for cell_id in frame["cell_id"]]
        for column, key in MEASURED.items():
            columns[column] = [
                math.nan if point is None else _number(getattr(point, key)) for point in points
            ]
        rounds = [0 if point is None else len(point.seconds) for point in points]
        columns["latency.mad"] = [
            mad if count > 1 else math.nan for mad, count in zip(columns["latency.mad"], rounds, strict=True)
        ]
        for condition in CONDITIONS:
            columns[f"latency.{condition}"] = getattr(latency, condition)
        ratios = [_ratio(point, name) for point, name in zip(points, frame["name"], strict=True)]
        columns["speedup_measured"] = [float(np.median(ratio)) for ratio in ratios]
        columns["speedup_measured.mad"] = [_mad(ratio) for ratio in ratios]
    return pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis="columns")


def _ratio(point: PointLatency | None, name: str) -> NDArray[np.float64]:
    """Reference's seconds over the point's, round by round: what slows a round slows both."""
    if point is None:
        return np.array([math.nan])
    seconds, reference = point.seconds, point.reference_seconds
    if len(seconds) != len(reference):
        counts = f"{name} has {len(seconds)} rounds and the reference {len(reference)}"
        raise ValueError(f"latency.json does not pair: {counts}: measure latency again")
    return np.asarray(reference, dtype=np.float64) / np.asarray(seconds, dtype=np.float64)


def _mad(values: np.ndarray) -> float:
    """The median absolute deviation; NaN of a single round, which tells nothing of the spread."""
    return float(np.median(np.abs(values - np.median(values)))) if len(values) > 1 else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
