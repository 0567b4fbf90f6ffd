"""Distances and nearest neighbours between samples, computed tile by tile of the distance matrix."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from metrics.features import PIECE, Features, FloatArray

Indices = NDArray[np.int64]


def distance_tiles(features: Features, others: Features) -> Iterator[tuple[slice, FloatArray]]:
    """Yield the squared distances [<=n, M] of a range of samples to all `others` [M, d], with that range."""
    step = max(1, PIECE // len(others))
    # centred, because |x|^2 - 2 x.y + |y|^2 loses digits far from 0
    centre = others.mean(axis=0, dtype=np.float64)
    away = others.astype(np.float64) - centre
    squares, twice = np.sum(away**2, axis=1), -2.0 * away.T
    for start in range(0, len(features), step):
        mine = features[start : start + step].astype(np.float64) - centre
        tile = mine @ twice
        tile += squares
        tile += np.sum(mine**2, axis=1)[:, None]
        yield slice(start, start + len(mine)), np.maximum(tile, 0.0, out=tile)


def nearest(features: Features, k: int) -> tuple[FloatArray, Indices]:
    """Find the k nearest other samples of each sample: squared distances and indices, both [N, k], nearest first."""
    distances, places = np.empty((len(features), k)), np.empty((len(features), k), dtype=np.int64)
    for samples, tile in distance_tiles(features, features):
        # a sample is no neighbour of itself
        tile[np.arange(len(tile)), np.arange(samples.start, samples.stop)] = np.inf
        close = np.argpartition(tile, k - 1, axis=1)[:, :k]
        smallest = np.take_along_axis(tile, close, axis=1)
        order = np.argsort(smallest, axis=1, kind="stable")
        distances[samples] = np.take_along_axis(smallest, order, axis=1)
        places[samples] = np.take_along_axis(close, order, axis=1)
    return distances, places
