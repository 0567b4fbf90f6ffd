"""The features of samples that metrics need, cached on disk.

They stay when samples are deleted, so that seed ranges of a point can be pooled exactly.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smoothbench.storage.npz import read_headers
from smoothbench.storage.streamed_npz import Pieces, read_array, writing

Features = NDArray[Any]  # [N, ...], by sample


class FeatureCache:
    """Caches per-sample features on disk, as `<sample_id>/<key>.npz`; the key identifies the encoder or metric."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, samples: str, key: str, seeds: Sequence[int]) -> Features | None:
        """Read the features of these seeds, in their order; None if they are absent, damaged or of other seeds."""
        if not self.has(samples, key, seeds):
            return None
        return read_array(self.path(samples, key), "rows")

    def has(self, samples: str, key: str, seeds: Sequence[int], read: bool = False) -> bool:
        """Whether a file declares the features of these seeds; with `read`, whether they can also be read.

        Without `read` only the headers are looked at, which damage further on does not change.
        """
        if read:
            return self.read(samples, key, seeds) is not None
        file = read_headers(self.path(samples, key), ("of", "seeds"))
        # files of earlier versions do not name the samples and the key that they are of
        if file is None or file.headers.keys() - {"of"} != {"seeds", "rows"}:
            return False
        features, cached_seeds = file.headers["rows"], file.values["seeds"]
        named = np.array_equal(file.values.get("of", [samples, key]), [samples, key])
        fits = features.shape[:1] == (len(seeds),) and features.dtype in (np.float32, np.float64)
        return bool(named and fits and cached_seeds.dtype.kind == "i" and np.array_equal(cached_seeds, seeds))

    def drop(self, samples: str, key: str) -> None:
        """Delete features, for instance damaged ones, so that they are computed again."""
        self.path(samples, key).unlink(missing_ok=True)

    def write(self, samples: str, key: str, seeds: Sequence[int], features: Features) -> None:
        """Write features, atomically."""
        path, small = self.path(samples, key), _named(samples, key, seeds)
        with writing(path, small, "rows", features.shape, features.dtype) as pieces:
            pieces.write(features)

    @contextmanager
    def streaming(self, samples: str, seeds: Sequence[int]) -> Iterator["FeatureStreams"]:
        """Take the features of these seeds batch by batch within a context; all files appear at its end.

        Only one batch is in memory at a time. After an exception nothing is written.
        """
        with ExitStack() as stack:
            streams = FeatureStreams(self, samples, seeds)
            stack.callback(streams.abandon)
            yield streams
            streams.finish()

    def join(self, samples: str, key: str, parts: Sequence[tuple["FeatureCache", Sequence[int]]]) -> bool:
        """Write the features of several parts of the seeds as one; False, and nothing is written, where one has none.

        Args: parts, for each the cache that has its features under the same names, and its seeds.
        """
        seeds = [seed for _, part in parts for seed in part]
        with self.streaming(samples, seeds) as streams:
            for cache, part in parts:
                features = cache.read(samples, key, part)
                if features is None:
                    streams.abandon()
                    return False
                streams.add(key, features)
        return True

    def forget(self, samples: str) -> None:
        """Delete all features of a set of samples."""
        for path in (self.folder / samples).glob("*.npz"):
            path.unlink(missing_ok=True)

    def path(self, samples: str, key: str) -> Path:
        """Return the path of features."""
        return self.folder / samples / f"{key}.npz"


class FeatureStreams:
    """Files of features that are being written, by key: the first batch of a key decides on its shape and type."""

    def __init__(self, cache: FeatureCache, samples: str, seeds: Sequence[int]) -> None:
        self._cache, self._samples, self._seeds = cache, samples, seeds
        self._open: dict[str, tuple[ExitStack, Pieces, tuple[int, ...]]] = {}

    def add(self, key: str, features: Features) -> None:
        """Add a batch [B, ...]; ValueError where its shape does not go with the batches before it."""
        if key not in self._open:
            self._open[key] = self._opened(key, features)
        _, pieces, shape = self._open[key]
        if features.shape[1:] != shape:
            raise ValueError(
                f"features {list(features.shape[1:])} after others of {list(shape)}: they differ"
            )
        pieces.write(features)

    def drop(self, key: str) -> None:
        """Write no file for a key, whatever was added."""
        if key in self._open:
            stack, _, _ = self._open.pop(key)
            with suppress(Abandoned), stack:
                raise Abandoned

    def abandon(self) -> None:
        """Write no file for the keys that are not finished."""
        for key in list(self._open):
            self.drop(key)

    def short(self) -> list[str]:
        """Return the keys that have features of fewer samples than they should."""
        return [key for key, (_, pieces, _) in self._open.items() if pieces.missing]

    def finish(self) -> None:
        """Write the files of all keys but of those that are short of features."""
        for key in self.short():
            self.drop(key)
        for key in list(self._open):
            stack, _, _ = self._open.pop(key)
            stack.close()

    def _opened(self, key: str, features: Features) -> tuple[ExitStack, Pieces, tuple[int, ...]]:
        shape, small = features.shape[1:], _named(self._samples, key, self._seeds)
        path, stack = self._cache.path(self._samples, key), ExitStack()
        context = writing(path, small, "rows", (len(self._seeds), *shape), features.dtype)
        return stack, stack.enter_context(context), shape


class Abandoned(Exception):
    """Ends the writing of a file that is not to appear."""


def _named(samples: str, key: str, seeds: Sequence[int]) -> dict[str, NDArray[Any]]:
    """The small arrays of a file: whose features they are."""
    return {"of": np.array([samples, key]), "seeds": np.array(seeds)}


def exact(features: Tensor) -> Features:
    """Return features as an array: float32 stays as it is, everything else becomes float64."""
    return (features if features.dtype == torch.float32 else features.double()).cpu().numpy()


def concatenate_batches(batches: Iterable[dict[str, Tensor]]) -> dict[str, Features]:
    """Concatenate the features of all batches by key; float32 stays as it is, everything else becomes float64."""
    arrays: dict[str, list[Features]] = {}
    for batch in batches:
        for key, features in batch.items():
            arrays.setdefault(key, []).append(exact(features))
    return {key: np.concatenate(list_of_arrays) for key, list_of_arrays in arrays.items()}
