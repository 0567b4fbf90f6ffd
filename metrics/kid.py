"""The kernel distance between the features of generated and real samples, unbiased at any number of samples."""

import numpy as np

from metrics.features import PIECE, Features, FloatArray, at_least, checked
from metrics.score import Score


class KernelDistance:
    """The unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018).

    It is one U-statistic over all samples, without random subsets, and may fall below 0. Call it KID only where the
    encoder is ADM's Inception. The standard error covers the generated samples alone, for fixed real samples,
    to first order, which vanishes where the two distributions agree.
    """

    inputs: tuple[str, ...] = ("features",)
    higher_is_better = False
    name = "kid"
    version = 1

    def __init__(self) -> None:
        self._real: Features | None = None
        self._real_kernel = 0.0  # mean kernel of two different real samples

    def fit(self, features: Features) -> None:
        """Take the features [M, d] of real samples; ValueError for other shapes, NaN or Inf, and fewer than 2."""
        self._real = checked(features, "features of real samples")
        at_least(len(features), 2, "the real side of KernelDistance")
        self._real_kernel = float(_mean_kernels(features).mean())

    def score(self, features: Features) -> Score:
        """Score features [N, d]; ValueError as of `fit`, for another width, and before `fit`."""
        if self._real is None:
            raise ValueError("KernelDistance has no real side: give its node a `real` file of images")
        checked(features, "features", self._real.shape[1], "the real samples")
        at_least(len(features), 2, "KernelDistance")
        within, across = _mean_kernels(features), _kernel_sums(features, self._real) / len(self._real)
        value = float(within.mean() - 2.0 * across.mean() + self._real_kernel)
        slope = 2.0 * (within - across)  # twice `within` too: a sample is either argument of the kernel
        return Score(value, slope - slope.mean())


def _mean_kernels(features: Features) -> FloatArray:
    """The mean kernel [N] of each sample with all other samples."""
    width = features.shape[1]
    diagonal = (np.einsum("nd,nd->n", features, features, dtype=np.float64) / width + 1.0) ** 3
    means: FloatArray = (_kernel_sums(features, features) - diagonal) / (len(features) - 1)
    return means


def _kernel_sums(features: Features, others: Features) -> FloatArray:
    """The kernel [N] of each sample summed over all `others`, computed tile by tile of the N x M matrix."""
    sums, width = np.zeros(len(features)), features.shape[1]
    step = max(1, int(PIECE**0.5))
    for i in range(0, len(features), step):
        mine = features[i : i + step].astype(np.float64) / width
        for j in range(0, len(others), step):
            base = mine @ others[j : j + step].astype(np.float64).T
            base += 1.0
            sums[i : i + step] += np.einsum("nm,nm,nm->n", base, base, base)
    return sums
