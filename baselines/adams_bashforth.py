"""AB-Cache (arXiv 2504.10540): extrapolate by the linear relation that Adams-Bashforth steps imply."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import comb

from smoothbench.caching import Weighted


@dataclass(frozen=True)
class AdamsBashforth(Weighted):
    """AB-Cache predicts a skipped output from the last `order` ones by a fixed linear combination.

    Rule as summarised: comparing Adams-Bashforth steps of order k with Euler steps, the paper finds that the k-th
    difference of consecutive outputs vanishes up to O(h^k), so that the next one is 2, -1 (order 2) or 3, -3, 1
    (order 3) times the last, the newest first. As others describe its code, these weights (of order 2 there) stand
    whatever the distance of the last computed outputs, and predictions are not put into the history. The paper's text
    could not be read. The order falls to what the history
    holds. Raises ValueError for an order other than 2 and 3.
    """

    order: int = 2
    coordinate: str = field(default="index", init=False)
    name = "adams_bashforth"
    version = 1

    def __post_init__(self) -> None:
        if type(self.order) is not int or self.order not in (2, 3):
            raise ValueError(f"Adams-Bashforth's order must be 2 or 3, not {self.order}")

    @property
    def depth(self) -> int:
        """The number of outputs to keep: the order."""
        return self.order

    def weights(self, coordinates: Sequence[float], now: float) -> list[float]:
        """Weigh the outputs by alternating binomial coefficients."""
        count = len(coordinates)
        return [float((-1) ** j * comb(count, j + 1)) for j in range(count)]
