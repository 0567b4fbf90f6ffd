"""Measured latency beside the counted MACs, as columns of the frame."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

CONDITIONS = ("device", "kind", "threads", "batch_size", "rounds")
MEASURED = {
    "latency": "median",
    "latency.mad": "mad",
    "latency.decode": "decode_median",
    "latency.peak_bytes": "peak_bytes",
    "latency.cache_bytes": "cache_bytes",
}


def add_latency(frame: pd.DataFrame, latency: dict[str, Any] | None, setting: list[str]) -> pd.DataFrame:
    """The frame with `speedup_macs` and, if latency was measured, its columns and `speedup_measured`.

    Args: latency, the content of latency.json or None; setting, the columns that name comparable points.
    A speed-up is that over the one reference of the same setting. ValueError if rounds do not pair.
    """
    columns: dict[str, Any] = {"speedup_macs": 1.0 / frame["share"]}
    if latency is not None:
        points = [latency["points"].get(point_id, {}) for point_id in frame["point_id"]]
        for column, key in MEASURED.items():
            columns[column] = [_number(point.get(key)) for point in points]
        for condition in CONDITIONS:
            columns[f"latency.{condition}"] = latency[condition]
        ratios = _ratios(frame, points, setting)
        columns["speedup_measured"] = [float(np.median(ratio)) for ratio in ratios]
        columns["speedup_measured.mad"] = [_mad(ratio) for ratio in ratios]
    return pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis="columns")


def _ratios(frame: pd.DataFrame, points: list[dict[str, Any]], setting: list[str]) -> list[np.ndarray]:
    """Reference's seconds over the point's, round by round: what slows a round slows both."""
    ratios = [np.array([math.nan])] * len(frame)
    for _, positions in frame.groupby(setting).indices.items():
        references = [i for i in positions if frame["reference"].iloc[i] and points[i]]
        if len(references) == 1:
            reference = points[references[0]]["seconds"]
            for i in positions:
                ratios[i] = _ratio(reference, points[i].get("seconds"), frame["name"].iloc[i])
    return ratios


def _ratio(reference: Sequence[float], seconds: Sequence[float] | None, name: str) -> np.ndarray:
    if seconds is None:
        return np.array([math.nan])
    if len(seconds) != len(reference):
        found = f"{name} has {len(seconds)} rounds and the reference {len(reference)}"
        raise ValueError(f"latency.json does not pair: {found}: measure latency again")
    return np.asarray(reference, dtype=np.float64) / np.asarray(seconds, dtype=np.float64)


def _mad(values: np.ndarray) -> float:
    return float(np.median(np.abs(values - np.median(values))))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
