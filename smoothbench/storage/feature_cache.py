"""The features of samples that metrics need, cached on disk.

They stay when samples are deleted, so that seed ranges of a point can be pooled exactly.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smoothbench.storage.files import read_arrays, write_arrays
from smoothbench.storage.npz import read_headers

Features = NDArray[Any]  # [N, ...], by sample


class FeatureCache:
    """Caches per-sample features on disk, as `<sample_id>/<key>.npz`; the key identifies the encoder or metric."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, samples: str, key: str, seeds: Sequence[int]) -> Features | None:
        """Read the features of these seeds, in their order; None if they are absent, damaged or of other seeds."""
        if not self.has(samples, key, seeds):
            return None
        return (read_arrays(self._path(samples, key)) or {}).get("rows")

    def has(self, samples: str, key: str, seeds: Sequence[int], read: bool = False) -> bool:
        """Whether a file declares the features of these seeds; with `read`, whether they can also be read.

        Without `read` only the headers are looked at, which damage further on does not change.
        """
        if read:
            return self.read(samples, key, seeds) is not None
        file = read_headers(self._path(samples, key), ("of", "seeds"))
        # files of earlier versions do not name the samples and the key that they are of
        if file is None or file.headers.keys() - {"of"} != {"seeds", "rows"}:
            return False
        features, cached_seeds = file.headers["rows"], file.values["seeds"]
        named = np.array_equal(file.values.get("of", [samples, key]), [samples, key])
        fits = features.shape[:1] == (len(seeds),) and features.dtype in (np.float32, np.float64)
        return bool(named and fits and cached_seeds.dtype.kind == "i" and np.array_equal(cached_seeds, seeds))

    def drop(self, samples: str, key: str) -> None:
        """Delete features, for instance damaged ones, so that they are computed again."""
        self._path(samples, key).unlink(missing_ok=True)

    def write(self, samples: str, key: str, seeds: Sequence[int], features: Features) -> None:
        """Write features, atomically."""
        arrays = {"of": np.array([samples, key]), "seeds": np.array(seeds), "rows": features}
        write_arrays(self._path(samples, key), arrays)

    def forget(self, samples: str) -> None:
        """Delete all features of a set of samples."""
        for path in (self.folder / samples).glob("*.npz"):
            path.unlink(missing_ok=True)

    def _path(self, samples: str, key: str) -> Path:
        return self.folder / samples / f"{key}.npz"


def concatenate_batches(batches: Iterable[dict[str, Tensor]]) -> dict[str, Features]:
    """Concatenate the features of all batches by key; float32 stays as it is, everything else becomes float64."""
    arrays: dict[str, list[Features]] = {}
    for batch in batches:
        for key, features in batch.items():
            exact = features if features.dtype == torch.float32 else features.double()
            arrays.setdefault(key, []).append(exact.cpu().numpy())
    return {key: np.concatenate(list_of_arrays) for key, list_of_arrays in arrays.items()}
