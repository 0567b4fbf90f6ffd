"""Features of samples as arrays [N, d]: checked once, and read in float64 piece by piece."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = NDArray[Any]  # [N, d] as the encoder gives them, mostly float32
FloatArray = NDArray[np.float64]

PIECE = 2**22  # numbers in a piece: 32 MiB of float64


def pieces(features: Features) -> Iterator[FloatArray]:
    """Yield features [N, d] in order as float64 [<=n, d], so that a large set is never doubled in memory."""
    size = max(1, PIECE // features.shape[1])
    for start in range(0, len(features), size):
        yield features[start : start + size].astype(np.float64)


def checked(features: Features, name: str, width: int | None = None, of: str = "") -> Features:
    """Return the features if they are [N, d] and finite.

    `width` is the d that is needed, `of` says for the message what needs it. Raises ValueError for another shape or
    width, and for NaN or Inf, with the number of samples that hold them.
    """
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"{name} must be [N, d] and not empty, not {list(features.shape)}: one row a sample")
    if width is not None and features.shape[1] != width:
        raise ValueError(
            f"{name} have width {features.shape[1]}, {of} {width}: take both from one encoder at one setting"
        )
    bad = sum(int((~np.isfinite(piece)).any(axis=1).sum()) for piece in pieces(features))
    if bad:
        raise ValueError(
            f"{bad} of {len(features)} rows of {name} hold NaN or Inf: drop or regenerate these samples"
        )
    return features


def at_least(count: int, least: int, name: str) -> None:
    """Raise ValueError, naming who needs them, where there are fewer than `least` samples."""
    if count < least:
        raise ValueError(f"{name} needs at least {least} samples, has {count}: add samples")


def few(count: int, width: int) -> str | None:
    """Flag N < 20 d, where the bias of order 1 / N is as large as differences between methods; else None."""
    return f"N={count} is small against d={width}" if count < 20 * width else None
