"""Mean and covariance of features, streamed in float64."""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Self

import numpy as np

from metrics.rows import FloatArray, Rows, checked, pieces


class Moments:
    """Streaming count, mean and covariance of rows, the same for any split of the data.

    Merges centred sums (Chan, Golub, LeVeque 1979), because raw sums of squares lose
    (mean / std)^2 digits.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = np.zeros(0)
        self._scatter = np.zeros((0, 0))  # sum of outer products about the mean

    @property
    def mean(self) -> FloatArray:
        """Mean, float64 [d]; raises ValueError for fewer than 2 samples."""
        self._check_enough()
        return self._mean.copy()

    @property
    def covariance(self) -> FloatArray:
        """Covariance with N - 1, float64 [d, d]; raises ValueError for fewer than 2 samples."""
        self._check_enough()
        return self._scatter / (self.count - 1)

    def update(self, rows: Rows) -> None:
        """Add rows [B, d]; raises ValueError for another width or shape, and for NaN or Inf."""
        for piece in pieces(checked(rows, "features")):
            mean = piece.mean(axis=0)
            centred = piece - mean
            self._merge(len(piece), mean, centred.T @ centred)

    def merge(self, other: "Moments") -> None:
        """Add everything another Moments has seen; raises ValueError for another width."""
        if other.count:
            self._merge(other.count, other._mean, other._scatter)

    @classmethod
    def from_npz(cls, path: str | Path) -> Self:
        """Moments from a file of `mu` [d], `sigma` [d, d] (N - 1) and `n`.

        Raises ValueError, naming the file, when it is missing, unreadable or pickled, lacks a key,
        or holds wrong shapes, an asymmetric sigma, NaN or Inf, or n below 2.
        """
        mu, sigma, n = (_read_npz(Path(path))[key] for key in ("mu", "sigma", "n"))
        _check_statistics(f"reference statistics {path}", mu, sigma, n)
        moments = cls()
        moments.count = int(n)
        moments._mean = mu
        moments._scatter = sigma * (int(n) - 1)
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


def _read_npz(path: Path) -> dict[str, FloatArray]:
    keys = ("mu", "sigma", "n")
    try:
        # from memory, because numpy leaves the file open when the archive is cut short
        archive = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except FileNotFoundError as error:
        raise ValueError(f"no reference statistics at {path}: check the path, or make the file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not an npz file without pickles: save it with numpy.savez") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"{path} is a single array, not an npz file: save mu, sigma and n with numpy.savez")
    with archive:
        if missing := [key for key in keys if key not in archive]:
            raise ValueError(
                f"reference statistics {path} lack {', '.join(missing)}: they need mu, sigma and n"
            )
        try:
            return {key: np.asarray(archive[key], dtype=np.float64) for key in keys}
        except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(
                f"reference statistics {path} hold an array that is damaged, pickled or not of numbers: "
                "save mu, sigma and n with numpy.savez"
            ) from error


def _check_statistics(name: str, mu: FloatArray, sigma: FloatArray, n: FloatArray) -> None:
    if mu.ndim != 1 or mu.size == 0 or sigma.shape != (mu.size, mu.size) or n.shape != ():
        raise ValueError(
            f"{name} have mu {list(mu.shape)}, sigma {list(sigma.shape)}, n {list(n.shape)}: "
            "they need [d], [d, d] and a single number"
        )
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise ValueError(f"{name} hold NaN or Inf: compute them again")
    # eigh reads one triangle only, so an asymmetric sigma would give a wrong number without a word
    if not np.allclose(sigma, sigma.T, rtol=1e-6, atol=1e-9 * np.abs(sigma).max()):
        raise ValueError(f"{name} have a sigma that is not symmetric: compute them again")
    if not (n >= 2 and n == np.floor(n)):
        raise ValueError(f"{name} were made from n={n} samples: n must be a whole number of at least 2")
