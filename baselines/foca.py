"""FoCa (arXiv 2508.16211): forecast by BDF2, then calibrate by Heun's rule, evaluation by evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from baselines.checks import check_whole
from smoothbench.caching import Weighted


@dataclass(frozen=True)
class FoCa(Weighted):
    """FoCa predicts a skipped output as the next step of an ordinary differential equation, from its own predictions.

    With F_k, F_k-1 the last two values, predicted ones included, BDF2 forecasts 2 F_k - F_k-1 (equation 7), whose
    slope is F_k - F_k-1 again (equation 6); Heun's rule gives F_k plus the mean of this slope and of that between the
    last two computed outputs (equation 8). So does cache-dit's code, but it takes every distance for 1, also that of
    computed outputs that lie several evaluations apart; here a slope is per evaluation, as in the paper. The engine
    keeps computed outputs alone: the recursion is written as their weights, and begins at the oldest of the last
    `depth` ones (4 take the memory of the published state). The order falls to what the history holds. Raises
    ValueError for a depth below 2.
    """

    depth: int = 4
    coordinate: str = field(default="index", init=False)
    name = "foca"
    version = 1

    def __post_init__(self) -> None:
        check_whole("FoCa's depth", self.depth, 2)

    def weights(self, coordinates: Sequence[float], now: float) -> list[float]:
        """Weigh the outputs by what they contribute to the recursion, from the oldest one up to now."""
        count = len(coordinates)
        outputs = [[float(i == j) for i in range(count)] for j in range(count)]
        value, slope, change = outputs[-1], [0.0] * count, [0.0] * count
        for j in range(count - 2, -1, -1):
            gap = coordinates[j] - coordinates[j + 1]
            predicted = _ahead(value, slope, change, gap - 1)
            value, slope = outputs[j], [(a - b) / gap for a, b in zip(outputs[j], value, strict=True)]
            change = slope if j == count - 2 else [a - b for a, b in zip(value, predicted, strict=True)]
        return _ahead(value, slope, change, now - coordinates[0])


def _ahead(value: list[float], slope: list[float], change: list[float], steps: float) -> list[float]:
    """Return the value after some steps, in each of which the change becomes its mean with the slope."""
    faded = 1 - 0.5**steps
    return [v + steps * s + faded * (c - s) for v, s, c in zip(value, slope, change, strict=True)]
