"""L2P (arXiv 2604.26365): predict by weights that are fitted to recorded trajectories."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.fitted_rows import fitted
from smoothbench.caching import Schedule, WeightedSum
from smoothbench.caching.batch_runs import BatchRuns


@dataclass(frozen=True)
class L2P:
    """L2P predicts a skipped output by a linear combination of earlier ones, fitted to a few uncached trajectories.

    Each evaluation has its own weights: those with the least squared error on the calibration batch (section 3).
    The paper fits them to all earlier outputs by 200 epochs of gradient descent from reuse, for the last layer alone;
    here only outputs that the schedule computes are weighed, the last `depth` of them, by the exact solution with
    `ridge` times their mean square added, since a run has no others. Of the published kind at level: span. Raises
    ValueError for a depth below 1 and a negative ridge.
    """

    depth: int = 50
    ridge: float = 1e-5
    coordinate = "index"
    name = "l2p"
    version = 1

    def __post_init__(self) -> None:
        if not self.depth >= 1:
            raise ValueError(f"L2P's depth must be a whole number from 1, not {self.depth}")
        if not self.ridge >= 0:
            raise ValueError(f"L2P's ridge must be 0 or more, not {self.ridge}")

    def fit(self, schedule: Schedule, batch: BatchRuns) -> WeightedSum:
        """Return the weights for this schedule; the batch is run once to record it."""
        return fitted(schedule, batch, self.depth, self._weights)

    def _weights(self, gram: Tensor, past: Sequence[int], e: int) -> list[float]:
        """Solve the normal equations of one evaluation, in which ridge keeps similar outputs apart."""
        normal = gram[past][:, past]
        normal = normal + self.ridge * normal.diagonal().mean() * torch.eye(len(past), dtype=gram.dtype)
        weights: list[float] = torch.linalg.lstsq(normal, gram[past, e, None]).solution[:, 0].tolist()
        return weights
