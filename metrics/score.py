"""Scores: the value of a metric with the influence of each sample, from which its uncertainty follows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from metrics.features import Features, FloatArray
from metrics.inference import Estimate, estimate

LEVELS = ("0.01", "0.05", "0.5", "0.95", "0.99")


@dataclass(frozen=True, eq=False)
class Score:
    """A metric's value over N samples, with the first-order influence of each sample on it.

    influence: float64 [N], in the order of the samples, mean about 0, in the unit of the value.
    flag: a caution for the reader, or None. quantiles: for per-sample distances, their quantile at each of
    `LEVELS`; None for other metrics. Raises ValueError for fewer than 2 samples and for numbers that are
    not finite.
    """

    value: float
    influence: FloatArray
    flag: str | None = None
    quantiles: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        shape = self.influence.shape
        if len(shape) != 1 or shape[0] < 2:
            raise ValueError(
                f"a score needs the influence of at least 2 samples as [N], not {list(shape)}: "
                "score more samples"
            )
        if not (np.isfinite(self.value) and np.isfinite(self.influence).all()):
            raise ValueError(
                f"the score {self.value} or its influence is not finite: look for NaN in the inputs"
            )

    @property
    def estimate(self) -> Estimate:
        """The value with its standard error, interval and p-value."""
        return estimate(self.value, self.influence)


@dataclass(frozen=True)
class BareScore:
    """A metric's value over `count` samples without an interval, because no sample's influence on it is known.

    `flag` says why, for the reader. Raises ValueError for fewer than 2 samples and a value that is not finite.
    """

    value: float
    count: int
    flag: str

    def __post_init__(self) -> None:
        if not (np.isfinite(self.value) and self.count >= 2 and self.flag):
            raise ValueError(
                f"{self.value} of {self.count} samples is no score: look for NaN, or score at least 2 samples"
            )


def mean_score(values: ArrayLike, with_quantiles: bool = False) -> Score:
    """Average one number per sample, [N], into a Score, flagged where all are equal but no distances.

    Raises ValueError for another shape, no samples, and NaN or Inf.
    """
    samples = np.asarray(values, dtype=np.float64)
    if samples.ndim != 1:
        raise ValueError(f"a mean over samples takes one number a sample, [N], not {list(samples.shape)}")
    if samples.size == 0:
        raise ValueError("no samples to average: score at least 2")
    bad = int((~np.isfinite(samples)).sum())
    if bad:
        raise ValueError(f"{bad} of {samples.size} values are NaN or Inf: look for broken samples")
    value = float(samples.mean())
    cuts = np.quantile(samples, [float(level) for level in LEVELS]).tolist() if with_quantiles else None
    quantiles = dict(zip(LEVELS, cuts, strict=True)) if cuts else None
    flag = None
    if not with_quantiles and samples.size > 1 and np.ptp(samples) == 0:
        flag = f"all {samples.size} samples have it: an interval of width 0 is no certainty"
    return Score(value, samples - value, flag, quantiles)


class SampleMean(ABC):
    """A metric that is the mean of one number per sample."""

    is_distance = False  # whether the number is a distance to another sample: then quantiles are computed too

    @abstractmethod
    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the numbers [B] of one batch that are averaged."""

    def score(self, values: Features) -> Score:
        """Average the numbers [N] of all samples; ValueError as of `mean_score`."""
        return mean_score(values, with_quantiles=self.is_distance)
