"""Kernel distance of features to real ones: unbiased at any number of samples."""

import numpy as np

from metrics.rows import PIECE, FloatArray, Rows, at_least, checked
from metrics.score import Score


class KernelDistance:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018).

    One U-statistic over all samples, so no random subsets; it may fall below 0. Called KID only where the
    encoder is ADM's Inception. The standard error is of the generated side alone, the real side is fixed,
    and to first order: where both sides agree that order vanishes.
    """

    inputs: tuple[str, ...] = ("features",)
    higher_is_better = False
    name = "kid"
    version = 1

    def __init__(self) -> None:
        self._real: Rows | None = None
        self._within = 0.0  # mean kernel of two different real samples

    def fit(self, rows: Rows) -> None:
        """Take rows [M, d] of real samples; raises ValueError for others, NaN or Inf, and fewer than 2."""
        self._real = checked(rows, "features of real samples")
        at_least(len(rows), 2, "the real side of KernelDistance")
        self._within = float(_to_others(rows).mean())

    def score(self, rows: Rows) -> Score:
        """The distance of rows [N, d]; ValueError as for `fit`, for another width, and before `fit`."""
        if self._real is None:
            raise ValueError("KernelDistance has no real side: give its node a `real` file of images")
        checked(rows, "features", self._real.shape[1], "the real samples")
        at_least(len(rows), 2, "KernelDistance")
        within, across = _to_others(rows), _kernel_sums(rows, self._real) / len(self._real)
        value = float(within.mean() - 2.0 * across.mean() + self._within)
        slope = 2.0 * (within - across)  # the projection: a sample meets its own side in two places
        return Score(value, slope - slope.mean())


def _to_others(rows: Rows) -> FloatArray:
    """Mean kernel [N] of each row with all other rows."""
    width = rows.shape[1]
    own = (np.einsum("nd,nd->n", rows, rows, dtype=np.float64) / width + 1.0) ** 3
    means: FloatArray = (_kernel_sums(rows, rows) - own) / (len(rows) - 1)
    return means


def _kernel_sums(rows: Rows, others: Rows) -> FloatArray:
    """Kernel [N] of each row, summed over all others, a tile of the N x M matrix at a time."""
    sums, width = np.zeros(len(rows)), rows.shape[1]
    step = max(1, int(PIECE**0.5))
    for i in range(0, len(rows), step):
        mine = rows[i : i + step].astype(np.float64) / width
        for j in range(0, len(others), step):
            base = mine @ others[j : j + step].astype(np.float64).T
            base += 1.0
            sums[i : i + step] += np.einsum("nm,nm,nm->n", base, base, base)
    return sums
