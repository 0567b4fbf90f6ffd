"""The Frechet distance for fewer samples than features: all arithmetic is in the span of the N < d centred samples."""

from collections.abc import Iterable

import numpy as np

from metrics.features import FloatArray
from metrics.real_statistics import RealStatistics


def span_distance(features: FloatArray, real: RealStatistics) -> tuple[float, FloatArray]:
    """Compute the distance of features [N, d] to the real statistics, and the influence [N] of each sample on it.

    tr (S1 S2)^(1/2) is the nuclear norm of A = X F^T, for centred samples X / sqrt(N - 1) and any F with
    F^T F = S2: this needs no d x d matrix, and no square root of rounding noise. With A = U s V^T and c = x - mu1,
    c M c of the transport map M (its pseudo-inverse form) is (N - 1) (U s U^T)_ii.

    The influence is the derivative towards more weight on a sample. It ignores, as of higher order, that a sample
    adds a direction to the span; in simulations with N from d / 16 to d the standard error was 0.85 to 1.35 times
    the true standard deviation.
    """
    mean = features.mean(axis=0)
    centred = (features - mean) / np.sqrt(len(features) - 1)
    left, values = _left_singular(centred, real.factor())
    gap, squares = mean - real.mean, np.sum(centred**2, axis=1)
    distance = float(gap @ gap + squares.sum() + real.trace - 2.0 * values.sum())
    slope = (len(features) - 1) * (squares - np.sum(left**2 * values, axis=1))  # c G c
    linear = 2.0 * np.sqrt(len(features) - 1) * centred @ gap
    return distance, linear + slope - (squares.sum() - values.sum())


def _left_singular(centred: FloatArray, factor: Iterable[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Compute U [N, r] and s [r] of A = X F^T for a factor F that comes in pieces of its rows.

    The decomposition A^T = Q R is updated piece by piece, so that memory holds at most N x N numbers and one piece;
    R^T has the same U and s as A.
    """
    triangle: FloatArray = np.zeros((0, len(centred)))
    for piece in factor:
        triangle = np.asarray(np.linalg.qr(np.vstack([triangle, piece @ centred.T]), mode="r"))
    left, values, _ = np.linalg.svd(triangle.T, full_matrices=False)
    return left, values
