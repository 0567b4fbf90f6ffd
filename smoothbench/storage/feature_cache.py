"""What the metrics keep of each sample, on disk: it outlives the samples, and parts of a point merge exactly."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smoothbench.storage.files import read_arrays, write_arrays
from smoothbench.storage.npz import described

Rows = NDArray[Any]  # [N, ...], a row for each sample


class Observations:
    """Rows by set of samples and key, `<samples>/<key>.npz`; the key says what was observed, and how."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, samples: str, key: str, seeds: Sequence[int]) -> Rows | None:
        """The rows of these seeds, in their order, or None where they are missing, damaged or of others."""
        if not self.has(samples, key, seeds):
            return None
        return (read_arrays(self._path(samples, key)) or {}).get("rows")

    def has(self, samples: str, key: str, seeds: Sequence[int], read: bool = False) -> bool:
        """Whether a file says that it has the rows of these seeds; damage within them shows where they are read."""
        if read:
            return self.read(samples, key, seeds) is not None
        found = described(self._path(samples, key), ("of", "seeds"))
        # files of before say not whose rows they are
        if found is None or found.headers.keys() - {"of"} != {"seeds", "rows"}:
            return False
        rows, kept = found.headers["rows"], found.values["seeds"]
        of = np.array_equal(found.values.get("of", [samples, key]), [samples, key])
        fits = rows.shape[:1] == (len(seeds),) and rows.dtype in (np.float32, np.float64)
        return bool(of and fits and kept.dtype.kind == "i" and np.array_equal(kept, seeds))

    def drop(self, samples: str, key: str) -> None:
        """Drop rows that cannot be read, so that they are missing, and made again."""
        self._path(samples, key).unlink(missing_ok=True)

    def write(self, samples: str, key: str, seeds: Sequence[int], rows: Rows) -> None:
        """Keep rows, atomically."""
        arrays = {"of": np.array([samples, key]), "seeds": np.array(seeds), "rows": rows}
        write_arrays(self._path(samples, key), arrays)

    def forget(self, samples: str) -> None:
        """Drop everything that was kept of a set of samples."""
        for path in (self.folder / samples).glob("*.npz"):
            path.unlink(missing_ok=True)

    def _path(self, samples: str, key: str) -> Path:
        return self.folder / samples / f"{key}.npz"


def gathered(batches: Iterable[dict[str, Tensor]]) -> dict[str, Rows]:
    """The rows of all batches under each key: float32 as encoders give it, everything else as float64."""
    parts: dict[str, list[Rows]] = {}
    for batch in batches:
        for key, rows in batch.items():
            exact = rows if rows.dtype == torch.float32 else rows.double()
            parts.setdefault(key, []).append(exact.cpu().numpy())
    return {key: np.concatenate(rows) for key, rows in parts.items()}
