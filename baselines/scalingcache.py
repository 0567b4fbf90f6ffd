"""ScalingCache (ICLR 2026, openreview uXmbrTlko7): extrapolate along the last change, by a calibrated share of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from smoothbench.caching import Schedule, WeightedSum
from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.output_matching import matching_outputs


@dataclass(frozen=True)
class ScalingCache:
    """ScalingCache predicts a skipped output by a share of the linear extrapolation of the last two computed ones.

    Rule as summarised: y + a * k * dy, where k is the distance from the newest output y and dy its change to the one
    before, per evaluation. The share a is each site's and evaluation's own (in the paper each block's), by least
    squares: <y_e - y, k dy> / <k dy, k dy>, between reuse (0) and first order (1) where outputs ask for it. The paper
    averages the shares of 20 to 50 prompts by a moving mean (0.97); here one share fits the whole calibration batch.
    Its decision at run time is not built: shares are fitted for one schedule. The first of all outputs is reused.
    """

    depth = 2
    coordinate = "index"
    name = "scalingcache"
    version = 1

    def fit(self, schedule: Schedule, batch: BatchRuns) -> WeightedSum:
        """Return the weights for this schedule; the batch is run once to record it."""
        return matching_outputs(schedule, batch, self.depth, _weights)


def _weights(gram: Tensor, past: Sequence[int], e: int) -> list[float]:
    if len(past) < 2:
        return [1.0]
    newest, before = past
    along = float(gram[e, newest] - gram[e, before] - gram[newest, newest] + gram[newest, before])
    length = float(gram[newest, newest] - 2 * gram[newest, before] + gram[before, before])
    share = along / length if length > 0 else 0.0  # of the last change itself: a * k / distance
    return [1 + share, -share]
