"""A score as a point's record holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from smoothbench.storage.json_rules import Between, Matching
from smoothbench.storage.typed_json import Stored

# the report's columns are named after it
ScoreName = Annotated[str, Matching(r"[\w-]+@[0-9]+", "fd_nano@256")]


@dataclass(frozen=True)
class Delta(Stored):
    """A paired difference to the uncached baseline: value, standard error, 95 % interval and p-value."""

    value: float
    se: float
    low: float
    high: float
    p: Annotated[float, Between(0, 1)]


@dataclass(frozen=True)
class MetricName(Stored):
    """The name and version of a metric, or its class and a hash of its source if it declares none."""

    unwritten: ClassVar[tuple[str, ...]] = ("name", "class_", "version", "source")

    name: str | None = None
    class_: str | None = field(default=None, metadata={"key": "class"})
    version: int | None = None
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class ScoreEntry(Stored):
    """A score with its standard error and 95 % interval over `n` samples.

    `flag` is a caution in words, `config_hash` identifies the metric with its parameters, `quantiles` are those of
    the samples, `blocks` the values of the seed ranges that were pooled, `delta` the difference to the baseline.
    `se` and the interval are None for a metric that knows no sample's influence.
    """

    unwritten: ClassVar[tuple[str, ...]] = ("metric",)

    value: float
    se: float | None
    low: float | None
    high: float | None
    n: int
    higher_is_better: bool
    flag: str | None
    config_hash: str
    quantiles: Mapping[str, float] | None
    blocks: tuple[float, ...] | None
    delta: Delta | None
    metric: MetricName | None = None
