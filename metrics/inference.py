"""Statistical inference: standard errors from influences, Student's t, paired differences, Holm's adjustment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from metrics.features import FloatArray


@dataclass(frozen=True)
class Estimate:
    """A number estimated from `count` samples, with its standard error in the same unit.

    Raises ValueError for numbers that are not finite, a negative se, and fewer than 2 samples.
    """

    value: float
    se: float
    count: int

    def __post_init__(self) -> None:
        if not (np.isfinite(self.value) and 0 <= self.se < np.inf and self.count >= 2):
            raise ValueError(
                f"{self.value} +- {self.se} from {self.count} samples is no estimate: "
                "it takes finite numbers, an error of at least 0, and 2 samples"
            )

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval by Student's t with count - 1 degrees of freedom."""
        return self.value - self._half_width

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + self._half_width

    @property
    def p_value(self) -> float:
        """The two-sided p-value against 0, by Student's t; for a standard error of 0 it is 1 or 0."""
        if self.se == 0:
            return float(self.value == 0)
        return float(2 * stdtr(self.count - 1, -abs(self.value) / self.se))

    @property
    def _half_width(self) -> float:
        return float(stdtrit(self.count - 1, 0.975)) * self.se


class Scored(Protocol):
    """A value with the influence [N] of each sample on it; `metrics.score.Score` is one."""

    @property
    def value(self) -> float: ...

    @property
    def influence(self) -> FloatArray: ...


def estimate(value: float, influence: ArrayLike) -> Estimate:
    """Estimate the standard error of a value from the influences [N]: std(influence, ddof=1) / sqrt(N)."""
    influences = np.asarray(influence, dtype=np.float64)
    return Estimate(value, float(influences.std(ddof=1) / np.sqrt(len(influences))), len(influences))


def paired_difference(a: Scored, b: Scored) -> Estimate:
    """Estimate a - b for two scores of the same N seeds in the same order.

    The variation between seeds that both share cancels in the difference of the influences.
    Raises ValueError if the numbers of samples differ.
    """
    if len(a.influence) != len(b.influence):
        raise ValueError(
            f"cannot pair {len(a.influence)} samples with {len(b.influence)}: score both on the same seeds"
        )
    return estimate(a.value - b.value, np.subtract(a.influence, b.influence, dtype=np.float64))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of one family so that the chance of any false finding stays below the level (Holm 1979).

    The order stays. Raises ValueError for values that are not between 0 and 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"p-values {p.tolist()} must be a list of numbers from 0 to 1: leave out those without"
        )
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    return [float(value) for value in adjusted]
