"""Which points no other point beats."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def front(x: ArrayLike, y: ArrayLike, higher_is_better: bool) -> NDArray[np.bool_]:
    """Mark the points on the Pareto front: no other is at least as good in both and better in one.

    Args: x [N], smaller is better; y [N], direction as told. Zero is a value like any other; points that
    tie in both are on the front together; a point with NaN is never on it. ValueError if lengths differ.
    """
    cost, loss = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if cost.ndim != 1 or cost.shape != loss.shape:
        raise ValueError(f"front takes two vectors of one length, not shapes {cost.shape} and {loss.shape}")
    loss = -loss if higher_is_better else loss
    no_worse = (cost[:, None] <= cost) & (loss[:, None] <= loss)
    better = (cost[:, None] < cost) | (loss[:, None] < loss)
    dominated = (no_worse & better).any(axis=0)
    return ~dominated & ~np.isnan(cost) & ~np.isnan(loss)
