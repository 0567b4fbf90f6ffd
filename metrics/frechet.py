"""Frechet distance between Gaussians fitted to features, and its influence function."""

import hashlib
from pathlib import Path

import numpy as np
from torch import Tensor

from metrics.moments import Moments, finite_rows
from metrics.score import FloatArray, Score


def frechet_distance(mu1: FloatArray, sigma1: FloatArray, mu2: FloatArray, sigma2: FloatArray) -> float:
    """Squared Wasserstein-2 distance of two Gaussians (Heusel et al. 2017, eq. 6).

    mu [d], sigma [d, d] symmetric. By the symmetric form tr (R S2 R)^(1/2) with R = S1^(1/2), which stays
    real for singular covariances; not clamped, so that rounding near 0 can be seen (-1e-6 is usual).
    Raises ValueError for shapes that do not fit and for NaN or Inf.
    """
    _check_gaussians(mu1, sigma1, mu2, sigma2)
    root = _root(sigma1)
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ sigma2 @ root), 0.0, None)).sum()
    gap = mu1 - mu2
    return float(gap @ gap + np.trace(sigma1) + np.trace(sigma2) - 2.0 * cross)


def frechet_influence(
    features: FloatArray, mu1: FloatArray, sigma1: FloatArray, mu2: FloatArray, sigma2: FloatArray
) -> FloatArray:
    """First-order influence [N] of each row of features [N, d] on the distance, the second Gaussian fixed.

    With the optimal-transport map M = S1^(-1/2) (S1^(1/2) S2 S1^(1/2))^(1/2) S1^(-1/2), G = I - M and
    c = x - mu1, the influence of x is 2 (mu1 - mu2) c + c G c - tr(G S1).
    Raises ValueError for shapes that do not fit and for NaN or Inf.
    """
    _check_gaussians(mu1, sigma1, mu2, sigma2)
    if features.ndim != 2 or features.shape[1] != mu1.size:
        raise ValueError(f"features {list(features.shape)} must be [N, {mu1.size}], as wide as mu and sigma")
    root = _root(sigma1)
    inverse = _root(sigma1, inverse=True)
    transport = inverse @ _root(root @ sigma2 @ root) @ inverse
    slope = np.eye(mu1.size) - transport
    centred = features - mu1
    quadratic = np.einsum("nd,de,ne->n", centred, slope, centred, optimize=True)
    influence: FloatArray = 2.0 * centred @ (mu1 - mu2) + quadratic - np.sum(slope * sigma1)
    return influence


class FrechetDistance:
    """Frechet distance of the encoder's features to reference statistics, an npz of mu, sigma and n.

    Called FID only where the encoder is ADM's Inception. Flags N < 20 d, where the bias of about 1 / N
    is as large as the differences between methods: then only differences at equal N mean something.
    `digest` is the file's sha256. Raises ValueError for an unusable reference file, and for features
    of another width.
    """

    inputs: tuple[str, ...] = ("features",)
    higher_is_better = False

    def __init__(self, reference: str) -> None:
        self._path = reference
        self._reference = Moments.from_npz(reference)
        self.digest = hashlib.sha256(Path(reference).read_bytes()).hexdigest()
        self._moments = Moments()
        self._features: list[FloatArray] = []

    def update(self, *inputs: Tensor) -> None:
        """Add features [B, d]; raises ValueError for another shape, and for NaN or Inf."""
        (features,) = inputs
        rows = finite_rows(features, "features")
        width = self._reference.mean.size
        if rows.shape[1] != width:
            raise ValueError(
                f"features have width {rows.shape[1]}, the reference statistics {self._path} {width}: "
                "take both from one encoder"
            )
        self._moments.update(features)
        self._features.append(rows)

    def compute(self) -> Score:
        """The distance over all samples so far; raises ValueError for fewer than 2."""
        sample, reference = self._moments, self._reference
        gaussians = (sample.mean, sample.covariance, reference.mean, reference.covariance)
        value = frechet_distance(*gaussians)
        influence = frechet_influence(np.concatenate(self._features), *gaussians)
        influence -= influence.mean()  # of order 1 / N, because sigma divides by N - 1
        count, width = sample.count, reference.mean.size
        return Score(
            value, influence, f"N={count} is small against d={width}" if count < 20 * width else None
        )


def _root(matrix: FloatArray, inverse: bool = False) -> FloatArray:
    """Symmetric square root, or its pseudo-inverse: directions of no variance stay out of it."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    powers = np.zeros_like(values)
    powers[kept] = values[kept] ** (-0.5 if inverse else 0.5)
    root: FloatArray = (vectors * powers) @ vectors.T
    return root


def _check_gaussians(mu1: FloatArray, sigma1: FloatArray, mu2: FloatArray, sigma2: FloatArray) -> None:
    square = (mu1.size, mu1.size)
    if mu1.ndim != 1 or mu2.shape != mu1.shape or sigma1.shape != square or sigma2.shape != square:
        raise ValueError(
            f"mu {list(mu1.shape)} and {list(mu2.shape)}, "
            f"sigma {list(sigma1.shape)} and {list(sigma2.shape)} do not fit: "
            "both sides need [d] and [d, d] with one d"
        )
    if not all(np.isfinite(part).all() for part in (mu1, sigma1, mu2, sigma2)):
        raise ValueError("a mean or covariance holds NaN or Inf: look for broken samples")
