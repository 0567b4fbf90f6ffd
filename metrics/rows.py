"""Rows of numbers, one for each sample: checked once, and read in float64 piece by piece."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]  # [N, d] as the encoder gave it, float32 as a rule
FloatArray = NDArray[np.float64]

PIECE = 2**22  # numbers in a piece: 32 MiB of float64


def pieces(rows: Rows) -> Iterator[FloatArray]:
    """The rows [N, d] in order as float64 [<=n, d], so that a large set is never doubled in memory."""
    size = max(1, PIECE // rows.shape[1])
    for start in range(0, len(rows), size):
        yield rows[start : start + size].astype(np.float64)


def checked(rows: Rows, name: str, width: int | None = None, of: str = "") -> Rows:
    """The rows themselves, as [N, d] and finite.

    `width` is the d that `of` (words for the message) asks for. Raises ValueError for another shape or
    width, and for NaN or Inf, naming how many rows hold them.
    """
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name} must be [N, d] and not empty, not {list(rows.shape)}: one row a sample")
    if width is not None and rows.shape[1] != width:
        raise ValueError(
            f"{name} have width {rows.shape[1]}, {of} {width}: take both from one encoder at one setting"
        )
    bad = sum(int((~np.isfinite(piece)).any(axis=1).sum()) for piece in pieces(rows))
    if bad:
        raise ValueError(
            f"{bad} of {len(rows)} rows of {name} hold NaN or Inf: drop or regenerate these samples"
        )
    return rows


def at_least(count: int, least: int, name: str) -> None:
    """Raises ValueError, naming who needs them, where there are fewer samples than that."""
    if count < least:
        raise ValueError(f"{name} needs at least {least} samples, has {count}: add samples")


def few(count: int, width: int) -> str | None:
    """The flag of N < 20 d, where the bias of order 1 / N is as large as differences between methods."""
    return f"N={count} is small against d={width}" if count < 20 * width else None
