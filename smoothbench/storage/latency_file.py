"""Measured latencies of an experiment's points under one set of conditions, as one JSON file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from smoothbench.storage.record import SCHEMA
from smoothbench.storage.rules import Above, Filled, Only
from smoothbench.storage.typed_json import Stored

Seconds = Annotated[
    tuple[Annotated[float, Above(0)], ...], Filled()
]  # of whole trajectories, a number a round


@dataclass(frozen=True, kw_only=True)
class PointLatency(Stored):
    """The latency of one point and, from the same rounds, of the reference. Memory is in bytes."""

    name: str | None = None
    seconds: Seconds
    reference_seconds: Seconds
    median: float | None = None
    mad: float | None = None
    decode_median: float | None = None
    peak_bytes: float | None = None
    cache_bytes: float | None = None


@dataclass(frozen=True, kw_only=True)
class Latency(Stored):
    """The points that were measured together, by cell_id, and the conditions of the measurement.

    `dtype` and `mode` are named by files of conditions beside the usual ones alone.
    """

    unwritten: ClassVar[tuple[str, ...]] = ("dtype", "mode")

    schema: Annotated[int, Only(SCHEMA)]
    kind: str
    device: str
    threads: int
    rounds: int
    batch_size: int
    warmup: int | None = None
    dtype: str | None = None
    mode: str | None = None
    points: Mapping[str, PointLatency]
    provenance: Mapping[str, object] | None = None
