"""The JSON file of latencies: an experiment's points, measured together in one setting (dtype, mode, batch size)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from smoothbench.storage.json_rules import Above, Filled, Only
from smoothbench.storage.record import SCHEMA
from smoothbench.storage.typed_json import Stored

# per batch and trajectory, one number for each round
Seconds = Annotated[tuple[Annotated[float, Above(0)], ...], Filled()]


@dataclass(frozen=True, kw_only=True)
class PointLatency(Stored):
    """The latency of one point and, from the same rounds, that of the uncached baseline; memory is in bytes.

    `bare_seconds` are those of the baseline by the denoiser's own forward, which the engine has not touched.
    """

    unwritten: ClassVar[tuple[str, ...]] = ("bare_seconds",)

    name: str | None = None
    seconds: Seconds
    reference_seconds: Seconds
    bare_seconds: Seconds | None = None
    median: float | None = None
    mad: float | None = None
    decode_median: float | None = None
    peak_bytes: float | None = None
    cache_bytes: float | None = None


@dataclass(frozen=True, kw_only=True)
class Latency(Stored):
    """The latencies of points that were measured together, by cell_id, and how they were measured.

    `dtype` and `mode` are given only where they differ from those of the experiment.
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
