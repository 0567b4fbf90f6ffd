"""The real statistics of a Frechet distance: read from a file, or computed from the features of real samples."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from metrics.features import Features, FloatArray, at_least, checked, pieces
from metrics.gaussians import root
from metrics.moments import Moments, read_statistics


class RealStatistics(Protocol):
    """Mean [d], covariance S [d, d] and its trace of the features of real samples."""

    @property
    def mean(self) -> FloatArray: ...

    @property
    def covariance(self) -> FloatArray: ...

    @property
    def trace(self) -> float: ...

    def factor(self) -> Iterator[FloatArray]:
        """Yield a matrix F with F^T F = S in pieces [<=k, d] of its rows."""
        ...


class FileStatistics:
    """Statistics from an npz of mu and sigma (N - 1), whose names end in `suffix`.

    They count as exact, because files such as ADM's do not say how many samples they are of. `digest` is the file's
    sha256. Raises ValueError for an unusable file.
    """

    def __init__(self, path: str, suffix: str = "") -> None:
        self.mean, self.covariance, _ = read_statistics(path, suffix)
        with Path(path).open("rb") as file:
            self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.trace = float(np.trace(self.covariance))

    def factor(self) -> Iterator[FloatArray]:
        yield self._root

    @cached_property
    def _root(self) -> FloatArray:
        return root(self.covariance)


class SampleStatistics:
    """Statistics of the features [M, d] of real samples; the covariance is computed when it is first used.

    Raises ValueError for another shape, NaN or Inf, and fewer than 2 samples.
    """

    def __init__(self, features: Features) -> None:
        self._features = checked(features, "features of real samples")
        at_least(len(features), 2, "the real side")
        self.mean: FloatArray = features.mean(axis=0, dtype=np.float64)

    @cached_property
    def covariance(self) -> FloatArray:
        moments = Moments()
        moments.update(self._features)
        return moments.covariance

    @cached_property
    def trace(self) -> float:
        return sum(float(np.sum(piece**2)) for piece in self.factor())

    def factor(self) -> Iterator[FloatArray]:
        for piece in pieces(self._features):
            yield (piece - self.mean) / np.sqrt(len(self._features) - 1)
