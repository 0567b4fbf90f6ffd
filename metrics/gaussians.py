"""The Frechet distance of two Gaussians from their means and covariances, for at least as many samples as features."""

from collections.abc import Iterable

import numpy as np

from metrics.features import FloatArray


def frechet_distance(mu1: FloatArray, sigma1: FloatArray, mu2: FloatArray, sigma2: FloatArray) -> float:
    """Compute the squared Wasserstein-2 distance of two Gaussians (Heusel et al. 2017, eq. 6).

    mu is [d], sigma [d, d] and symmetric. The symmetric form tr (R S2 R)^(1/2) with R = S1^(1/2) stays real for
    singular covariances. The result is not clamped, so that rounding near 0 can be seen (-1e-6 is usual).
    Raises ValueError for shapes that do not fit and for NaN or Inf.
    """
    return distance_and_transport(mu1, sigma1, mu2, sigma2)[0]


def distance_and_transport(
    mu1: FloatArray, sigma1: FloatArray, mu2: FloatArray, sigma2: FloatArray
) -> tuple[float, FloatArray]:
    """Compute `frechet_distance` together with the optimal-transport map M [d, d].

    M = S1^(-1/2) (S1^(1/2) S2 S1^(1/2))^(1/2) S1^(-1/2), with a pseudo-inverse: directions in which the
    first Gaussian has no variance are left out. Raises ValueError as `frechet_distance` does.
    """
    _check(mu1, sigma1, mu2, sigma2)
    values, vectors = _eigen(sigma1)
    half = np.sqrt(values)
    away = np.where(values > 0, 1.0 / np.where(values > 0, half, 1.0), 0.0)
    # in the eigenbasis of S1, where its roots are diagonal
    inner = half[:, None] * (vectors.T @ sigma2 @ vectors) * half
    cross = root(inner)
    transport = vectors @ (away[:, None] * cross * away) @ vectors.T
    gap = mu1 - mu2
    return float(gap @ gap + np.trace(sigma1) + np.trace(sigma2) - 2.0 * np.trace(cross)), transport


def frechet_influence(
    pieces: Iterable[FloatArray], mu1: FloatArray, sigma1: FloatArray, mu2: FloatArray, transport: FloatArray
) -> FloatArray:
    """Compute the first-order influence [N] of each sample on the distance, for a fixed second Gaussian.

    `pieces` are features [<=N, d] in order, `transport` is M above. With G = I - M and c = x - mu1 the influence
    of x is 2 (mu1 - mu2) c + c G c - tr(G S1).
    """
    slope = np.eye(mu1.size) - transport
    derivatives = []
    for piece in pieces:
        centred = piece - mu1
        derivatives.append(2.0 * centred @ (mu1 - mu2) + np.sum(centred @ slope * centred, axis=1))
    influence: FloatArray = np.concatenate(derivatives) - np.sum(slope * sigma1)
    return influence


def root(matrix: FloatArray) -> FloatArray:
    """Compute the symmetric square root [d, d] of a symmetric matrix without negative eigenvalues."""
    values, vectors = _eigen(matrix)
    square_root: FloatArray = (vectors * np.sqrt(values)) @ vectors.T
    return square_root


def _eigen(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues [d], set to 0 where they are no more than rounding noise, and eigenvectors [d, d]."""
    values, vectors = np.linalg.eigh(matrix)
    noise = max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    return np.where(values > noise, values, 0.0), vectors


def _check(mu1: FloatArray, sigma1: FloatArray, mu2: FloatArray, sigma2: FloatArray) -> None:
    square = (mu1.size, mu1.size)
    if mu1.ndim != 1 or mu2.shape != mu1.shape or sigma1.shape != square or sigma2.shape != square:
        raise ValueError(
            f"mu {list(mu1.shape)} and {list(mu2.shape)}, "
            f"sigma {list(sigma1.shape)} and {list(sigma2.shape)} do not fit: "
            "both sides need [d] and [d, d] with one d"
        )
    if not all(np.isfinite(array).all() for array in (mu1, sigma1, mu2, sigma2)):
        raise ValueError("a mean or covariance holds NaN or Inf: look for broken samples")
