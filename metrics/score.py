"""A number, how sure we are of it, and what each sample had to do with it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Score:
    """A metric's value over N samples, with the first-order influence of each sample on it.

    influence: float64 [N], in the order of the updates, mean about 0, in the unit of the value.
    flag: a caution for the reader, or None.
    Raises ValueError for fewer than 2 samples and for numbers that are not finite.
    """

    value: float
    influence: FloatArray
    flag: str | None = None

    def __post_init__(self) -> None:
        shape = self.influence.shape
        if len(shape) != 1 or shape[0] < 2:
            raise ValueError(
                f"a score needs the influence of at least 2 samples as [N], not {list(shape)}: "
                "update the metric with more samples"
            )
        if not (np.isfinite(self.value) and np.isfinite(self.influence).all()):
            raise ValueError(
                f"the score {self.value} or its influence is not finite: look for NaN in the inputs"
            )

    @property
    def se(self) -> float:
        """Standard error of the value by the influence function: std(influence, ddof=1) / sqrt(N)."""
        return _standard_error(self.influence)


def mean_score(values: npt.ArrayLike) -> Score:
    """The mean over samples as a Score, from one number a sample, [N]."""
    samples = np.asarray(values, dtype=np.float64)
    if samples.size == 0:
        raise ValueError("no samples to average: update the metric before compute")
    bad = int((~np.isfinite(samples)).sum())
    if bad:
        raise ValueError(f"{bad} of {samples.size} values are NaN or Inf: look for broken samples")
    value = float(samples.mean())
    return Score(value, samples - value)


def paired_difference(a: Score, b: Score) -> tuple[float, float]:
    """Value and standard error of a - b, for scores of the same N seeds in the same order.

    What both share, the luck of the seeds, cancels in the difference of the influences.
    Raises ValueError if the numbers of samples differ.
    """
    if len(a.influence) != len(b.influence):
        raise ValueError(
            f"cannot pair {len(a.influence)} samples with {len(b.influence)}: score both on the same seeds"
        )
    return a.value - b.value, _standard_error(a.influence - b.influence)


def interval(value: float, se: float) -> tuple[float, float]:
    """The 95 % interval value -+ 1.96 se, the same for every score."""
    return value - 1.96 * se, value + 1.96 * se


class SampleMean(ABC):
    """A metric that is the mean of one number a sample."""

    def __init__(self) -> None:
        self._values: list[FloatArray] = []

    @abstractmethod
    def per_sample(self, *inputs: Tensor) -> Tensor:
        """The numbers to average, [B], of one batch."""

    def update(self, *inputs: Tensor) -> None:
        """Add a batch; raises ValueError as the metric describes."""
        self._values.append(self.per_sample(*inputs).double().cpu().numpy())

    def compute(self) -> Score:
        """The mean over all samples so far."""
        return mean_score(np.concatenate([np.empty(0), *self._values]))


def _standard_error(influence: FloatArray) -> float:
    return float(influence.std(ddof=1) / np.sqrt(len(influence)))
