"""L2P (arXiv 2604.26365): predict by weights that are fitted to recorded trajectories."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.checks import check_number, check_whole
from smoothbench.caching import Schedule, WeightedSum
from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.output_matching import matching_outputs


@dataclass(frozen=True)
class L2P:
    """L2P predicts a skipped output by a linear combination of earlier ones, fitted to a few uncached trajectories.

    Each evaluation has its own weights: those with the least squared error on the calibration batch (section 3). The
    released code fits them to all earlier outputs of the model, by 200 epochs of gradient descent from reuse, and in a
    run weighs its own predictions as if they had been computed. Here the last `depth` outputs that the schedule
    computes are weighed, alone, and the minimum is solved for exactly, with `ridge` times the outputs' mean square as
    the price of leaving reuse. At level: denoiser the outputs are of the published kind. Raises ValueError for a depth
    below 1 and a negative ridge.
    """

    depth: int = 50
    ridge: float = 1e-5
    coordinate = "index"
    name = "l2p"
    version = 1

    def __post_init__(self) -> None:
        check_whole("L2P's depth", self.depth)
        check_number("L2P's ridge", self.ridge)

    def fit(self, schedule: Schedule, batch: BatchRuns) -> WeightedSum:
        """Return the weights for this schedule; the batch is run once to record it."""
        return matching_outputs(schedule, batch, self.depth, self._weights)

    def _weights(self, gram: Tensor, past: Sequence[int], e: int) -> list[float]:
        """Solve the normal equations of one evaluation for how far the weights lie from those of reuse."""
        normal, reuse = gram[past][:, past], torch.eye(len(past), dtype=gram.dtype)
        left = gram[past, e] - normal[:, 0]
        normal = normal + self.ridge * normal.diagonal().mean() * reuse
        weights: list[float] = (reuse[0] + torch.linalg.lstsq(normal, left[:, None]).solution[:, 0]).tolist()
        return weights
