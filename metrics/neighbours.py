"""Distances and nearest neighbours among rows, a tile of the matrix at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from metrics.rows import PIECE, FloatArray, Rows

Indices = NDArray[np.int64]


def distance_tiles(rows: Rows, others: Rows) -> Iterator[tuple[slice, FloatArray]]:
    """Squared distances [<=n, M] of some rows at a time to all others [M, d], with the rows' place."""
    step = max(1, PIECE // len(others))
    centre = others.mean(axis=0, dtype=np.float64)  # |x|^2 - 2 x.y + |y|^2 keeps its digits near 0
    away = others.astype(np.float64) - centre
    squares, twice = np.sum(away**2, axis=1), -2.0 * away.T
    for start in range(0, len(rows), step):
        mine = rows[start : start + step].astype(np.float64) - centre
        tile = mine @ twice
        tile += squares
        tile += np.sum(mine**2, axis=1)[:, None]
        yield slice(start, start + len(mine)), np.maximum(tile, 0.0, out=tile)


def nearest(rows: Rows, k: int) -> tuple[FloatArray, Indices]:
    """Squared distances and places, both [N, k], of the k nearest others of each row, nearest first."""
    distances, places = np.empty((len(rows), k)), np.empty((len(rows), k), dtype=np.int64)
    for part, tile in distance_tiles(rows, rows):
        tile[np.arange(len(tile)), np.arange(part.start, part.stop)] = np.inf  # not oneself
        close = np.argpartition(tile, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(tile, close, axis=1)
        order = np.argsort(found, axis=1, kind="stable")
        distances[part] = np.take_along_axis(found, order, axis=1)
        places[part] = np.take_along_axis(close, order, axis=1)
    return distances, places
