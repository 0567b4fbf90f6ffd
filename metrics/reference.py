"""The real side of a Frechet distance: statistics from a file, or rows of real samples."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from metrics.gaussians import root
from metrics.moments import Moments, read_statistics
from metrics.rows import FloatArray, Rows, at_least, checked, pieces


class Reference(Protocol):
    """A Gaussian with the mean [d], the covariance S [d, d] and its trace."""

    @property
    def mean(self) -> FloatArray: ...

    @property
    def covariance(self) -> FloatArray: ...

    @property
    def trace(self) -> float: ...

    def factor(self) -> Iterator[FloatArray]:
        """Rows [<=k, d] of a matrix F with F^T F = S, piece by piece."""
        ...


class Statistics:
    """Reference statistics from an npz of mu and sigma (N - 1), with what their names end in as `suffix`.

    Taken as exact, however many samples they are of: ADM's files do not tell. `digest` is the file's sha256.
    Raises ValueError for an unusable file.
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


class RealRows:
    """Real samples' rows [M, d], kept as they are; the covariance is made where it is asked for.

    Raises ValueError for another shape, NaN or Inf, and fewer than 2.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = checked(rows, "features of real samples")
        at_least(len(rows), 2, "the real side")
        self.mean: FloatArray = rows.mean(axis=0, dtype=np.float64)

    @cached_property
    def covariance(self) -> FloatArray:
        moments = Moments()
        moments.update(self._rows)
        return moments.covariance

    @cached_property
    def trace(self) -> float:
        return sum(float(np.sum(piece**2)) for piece in self.factor())

    def factor(self) -> Iterator[FloatArray]:
        for piece in pieces(self._rows):
            yield (piece - self.mean) / np.sqrt(len(self._rows) - 1)
