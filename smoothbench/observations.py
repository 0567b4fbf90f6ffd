"""What the metrics keep of each sample, on disk: it outlives the samples, and parts of a point merge exactly."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smoothbench.store import read_arrays, write_arrays

Rows = NDArray[Any]  # [N, ...], a row for each sample


class Observations:
    """Rows by set of samples and key, `<samples>/<key>.npz`; the key says what was observed, and how."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, samples: str, key: str, seeds: Sequence[int]) -> Rows | None:
        """The rows of these seeds, in their order, or None where they are missing, damaged or of others."""
        arrays = read_arrays(self._path(samples, key)) or {}
        # files of before say not whose rows they are
        if arrays.keys() - {"of"} != {"seeds", "rows"} or not np.array_equal(
            arrays.get("of", [samples, key]), [samples, key]
        ):
            return None
        rows, kept = arrays["rows"], arrays["seeds"]
        fits = rows.ndim > 0 and len(rows) == len(seeds) and rows.dtype in (np.float32, np.float64)
        return rows if fits and kept.dtype.kind == "i" and np.array_equal(kept, seeds) else None

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
