"""Mean and covariance of features, streamed in float64."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

import numpy as np

from metrics.features import Features, FloatArray, checked, pieces


class Moments:
    """The count, mean and covariance of features that come in batches; the same for any split into batches.

    It merges centred sums (Chan, Golub, LeVeque 1979), because raw sums of squares lose precision by a factor of
    (mean / std)^2.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = np.zeros(0)
        self._scatter = np.zeros((0, 0))  # sum of outer products about the mean

    @property
    def mean(self) -> FloatArray:
        """The mean, float64 [d]; ValueError for fewer than 2 samples."""
        self._check_enough()
        return self._mean.copy()

    @property
    def covariance(self) -> FloatArray:
        """The covariance with N - 1, float64 [d, d]; ValueError for fewer than 2 samples."""
        self._check_enough()
        return self._scatter / (self.count - 1)

    def update(self, features: Features) -> None:
        """Add features [B, d]; ValueError for another width or shape, and for NaN or Inf."""
        for piece in pieces(checked(features, "features")):
            mean = piece.mean(axis=0)
            centred = piece - mean
            self._merge(len(piece), mean, centred.T @ centred)

    def merge(self, other: "Moments") -> None:
        """Add all samples of another Moments; ValueError for another width."""
        if other.count:
            self._merge(other.count, other._mean, other._scatter)

    @classmethod
    def from_npz(cls, path: str | Path) -> Self:
        """Read moments from a file of `mu` [d], `sigma` [d, d] (N - 1) and `n`.

        Raises ValueError, naming the file, when it is missing, unreadable or pickled, lacks a key,
        or holds wrong shapes, an asymmetric sigma, NaN or Inf, or n below 2.
        """
        mu, sigma, n = read_statistics(path)
        if n is None:
            raise ValueError(f"reference statistics {path} lack n: they need mu, sigma and n")
        moments = cls()
        moments.count = n
        moments._mean = mu
        moments._scatter = sigma * (n - 1)
        return moments

    def _merge(self, count: int, mean: FloatArray, scatter: FloatArray) -> None:
        if not self.count:
            self._mean, self._scatter = np.zeros_like(mean), np.zeros_like(scatter)
        if mean.shape != self._mean.shape:
            raise ValueError(
                f"features have width {len(mean)} after {self.count} samples of width {len(self._mean)}: "
                "use one encoder"
            )
        total = self.count + count
        delta = mean - self._mean
        self._scatter = self._scatter + scatter + np.outer(delta, delta) * (self.count * count / total)
        self._mean = self._mean + delta * (count / total)
        self.count = total

    def _check_enough(self) -> None:
        if self.count < 2:
            raise ValueError(f"moments need at least 2 samples, have {self.count}: add samples")


def read_statistics(path: str | Path, suffix: str = "") -> tuple[FloatArray, FloatArray, int | None]:
    """Read the mean [d], the covariance [d, d] (N - 1) and, if the file has it, the number of samples.

    They are the arrays `mu`, `sigma` and `n` of an npz; the names of the first two end in `suffix` (`_s` for the
    spatial features in ADM's files). No other array is read: ADM's reference batches also hold 2 GB of images.
    Raises ValueError, naming the file, as `Moments.from_npz` does.
    """
    keys = (f"mu{suffix}", f"sigma{suffix}")
    arrays = _read_npz(Path(path), keys, "n")
    mu, sigma, n = arrays[keys[0]], arrays[keys[1]], arrays.get("n")
    _check_statistics(f"reference statistics {path}", keys, mu, sigma)
    if n is not None:
        _check_count(f"reference statistics {path}", n)
    return mu, sigma, None if n is None else int(n)


def _read_npz(path: Path, keys: Sequence[str], optional: str) -> dict[str, FloatArray]:
    with _opened(path) as file, _archive(file, path) as archive:
        if absent := [key for key in keys if key not in archive]:
            raise ValueError(
                f"reference statistics {path} lack {', '.join(absent)}: they need {' and '.join(keys)}"
            )
        try:
            wanted = [*keys, optional] if optional in archive else keys
            return {key: np.asarray(archive[key], dtype=np.float64) for key in wanted}
        except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(
                f"reference statistics {path} hold an array that is damaged, pickled or not of numbers: "
                f"save {' and '.join(keys)} with numpy.savez"
            ) from error


def _opened(path: Path) -> IO[bytes]:
    """Open the file here, because numpy would leave its own handle open when the archive is cut short."""
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise ValueError(f"no reference statistics at {path}: check the path, or make the file") from error
    except OSError as error:
        raise ValueError(f"reference statistics {path}: {error.strerror}") from error


def _archive(file: IO[bytes], path: Path) -> np.lib.npyio.NpzFile:
    try:
        archive = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not an npz file without pickles: save it with numpy.savez") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"{path} is a single array, not an npz file: save mu and sigma with numpy.savez")
    return archive


def _check_statistics(name: str, keys: Sequence[str], mu: FloatArray, sigma: FloatArray) -> None:
    if mu.ndim != 1 or mu.size == 0 or sigma.shape != (mu.size, mu.size):
        raise ValueError(
            f"{name} have {keys[0]} {list(mu.shape)}, {keys[1]} {list(sigma.shape)}: they need [d] and [d, d]"
        )
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise ValueError(f"{name} hold NaN or Inf: compute them again")
    # eigh reads one triangle only, so an asymmetric sigma would give a wrong number without a word
    if not np.allclose(sigma, sigma.T, rtol=1e-6, atol=1e-9 * np.abs(sigma).max()):
        raise ValueError(f"{name} have a sigma that is not symmetric: compute them again")


def _check_count(name: str, n: FloatArray) -> None:
    if n.shape != ():
        raise ValueError(f"{name} have n {list(n.shape)}: it must be a single number")
    if not (n >= 2 and n == np.floor(n)):
        raise ValueError(f"{name} were made from n={n} samples: n must be a whole number of at least 2")
