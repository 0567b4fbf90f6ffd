"""Frechet distance of few samples: everything happens in the span of their centred rows, N < d."""

from collections.abc import Iterable

import numpy as np

from metrics.reference import Reference
from metrics.rows import FloatArray


def span_distance(rows: FloatArray, reference: Reference) -> tuple[float, FloatArray]:
    """The distance of rows [N, d] to the reference, and the influence [N] of each row on it.

    tr (S1 S2)^(1/2) is the nuclear norm of A = X F^T, for centred rows X / sqrt(N - 1) and any F with
    F^T F = S2: no d x d matrix, and no square root of rounding noise. With A = U s V^T and c = x - mu1,
    c M c of the transport map M (its pseudo-inverse form) is (N - 1) (U s U^T)_ii.

    The influence is the derivative towards more weight on a sample. That a sample opens a direction of its
    own is of higher order; in simulations with N from d / 16 to d the standard error was 0.85 to 1.35 times
    the true spread.
    """
    mean = rows.mean(axis=0)
    centred = (rows - mean) / np.sqrt(len(rows) - 1)
    left, values = _left_singular(centred, reference.factor())
    gap, own = mean - reference.mean, np.sum(centred**2, axis=1)
    distance = float(gap @ gap + own.sum() + reference.trace - 2.0 * values.sum())
    slope = (len(rows) - 1) * (own - np.sum(left**2 * values, axis=1))  # c G c
    linear = 2.0 * np.sqrt(len(rows) - 1) * centred @ gap
    return distance, linear + slope - (own.sum() - values.sum())


def _left_singular(centred: FloatArray, factor: Iterable[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """U [N, r] and s [r] of A = X F^T for a factor F that comes in pieces of rows.

    A^T = Q R is found piece by piece, so that at most N x N and one piece are held; A then shares
    U and s with R^T.
    """
    triangle: FloatArray = np.zeros((0, len(centred)))
    for piece in factor:
        triangle = np.asarray(np.linalg.qr(np.vstack([triangle, piece @ centred.T]), mode="r"))
    left, values, _ = np.linalg.svd(triangle.T, full_matrices=False)
    return left, values
