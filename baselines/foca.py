"""FoCa (arXiv 2508.16211): forecast by BDF2, then calibrate by Heun's rule, evaluation by evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from baselines.checks import check_whole
from smoothbench.caching import Weighted


@dataclass(frozen=True)
class FoCa(Weighted):
    """FoCa predicts a skipped output as the next step of an ordinary differential equation, from its own predictions.

    With F_k, F_k-1 the last two values, predicted ones included, and s their slope, BDF2 forecasts 4/3 F_k - 1/3 F_k-1
    + 2/3 s (equation 7), where the slope is s again (equation 6). Heun's rule gives F_k plus the mean of s and of the
    slope between the last two computed outputs (equation 8). The paper leaves open what s is, and how long a step is:
    here a step is one evaluation, and s is F_k - F_k-1 (`slope_values` 2), as in cache-dit's code, or (3 F_k - 4 F_k-1
    + F_k-2) / 2, equation 6 one evaluation earlier (`slope_values` 3; L2P writes FoCa's forecast so: 7/3, -5/3, 1/3).
    cache-dit takes every distance between computed outputs for 1; its later code makes one step from the last computed
    output, of all evaluations since, damped beyond 3.

    The engine keeps computed outputs alone: the recursion is written as their weights, and begins at the oldest of the
    last `depth` ones (4 take the memory of the published state). The order falls to what the history holds. Raises
    ValueError for a depth below 2, and for another number of slope values.
    """

    depth: int = 4
    slope_values: int = 2
    coordinate: str = field(default="index", init=False)
    name = "foca"
    version = 1
    gained: ClassVar[Mapping[str, Any]] = MappingProxyType({"slope_values": 2})

    def __post_init__(self) -> None:
        check_whole("FoCa's depth", self.depth, 2)
        if self.slope_values not in (2, 3):
            raise ValueError(f"FoCa's slope_values must be 2 or 3, not {self.slope_values!r}")

    def weights(self, coordinates: Sequence[float], now: float) -> list[float]:
        """Weigh the outputs by what they contribute to the recursion, from the oldest one up to now."""
        count = len(coordinates)
        outputs = [[float(i == j) for i in range(count)] for j in range(count)]
        value, slope, change, before = outputs[-1], *([0.0] * count for _ in range(3))
        for j in range(count - 2, -1, -1):
            gap = coordinates[j] - coordinates[j + 1]
            for _ in range(round(gap) - 1):
                value, change, before = self._ahead(value, slope, change, before)
            slope = [(a - b) / gap for a, b in zip(outputs[j], outputs[j + 1], strict=True)]
            jump = [a - b for a, b in zip(outputs[j], value, strict=True)]
            change, before = (slope, slope) if j == count - 2 else (jump, change)
            value = outputs[j]
        for _ in range(round(now - coordinates[0])):
            value, change, before = self._ahead(value, slope, change, before)
        return value

    def _ahead(self, value: list[float], *known: list[float]) -> tuple[list[float], list[float], list[float]]:
        """Return the value one evaluation later, its change, and the change before.

        Args: known, the slope between computed outputs, the last change of the values, and the one before.
        """
        ahead = (self.slope_values - 2) / 2  # how much of the change's own change is added
        step = [(s + c + ahead * (c - b)) / 2 for s, c, b in zip(*known, strict=True)]
        return [v + d for v, d in zip(value, step, strict=True)], step, known[1]
