"""HiCache (arXiv 2508.16984): predict by scaled Hermite polynomials in place of powers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import factorial

from smoothbench.caching import Weighted, expansion


@dataclass(frozen=True)
class HiCache(Weighted):
    """HiCache predicts a skipped output by a Taylor expansion whose powers are replaced by Hermite polynomials.

    At distance k from the newest output F it adds D_i F / i! * s^i * H_i(s k) for i = 1 to `order`: D_i are the
    difference quotients that TaylorSeer expands, H_i the physicists' Hermite polynomials, s the `scale`. Rule as
    summarised: neither the paper's text nor its repository could be read; the formula is that of others' code and
    notes, which give 0.5 for s. As H_1(x) = 2x, order 1 has 2 s^2 times Taylor's slope, at 0.5 half of it. The order
    falls to what the history holds. Raises ValueError unless 1 <= order <= 4 and 0 < scale <= 1.
    """

    order: int = 2
    scale: float = 0.5
    coordinate: str = field(default="index", init=False)
    name = "hicache"
    version = 1

    def __post_init__(self) -> None:
        if type(self.order) is not int or self.order not in (1, 2, 3, 4):
            raise ValueError(f"HiCache's order must be 1, 2, 3 or 4, not {self.order}")
        if not 0 < self.scale <= 1:
            raise ValueError(f"HiCache's scale must be above 0 and at most 1, not {self.scale}")

    @property
    def depth(self) -> int:
        """The number of outputs to keep: one more than the order."""
        return self.order + 1

    def weights(self, coordinates: Sequence[float], now: float) -> list[float]:
        """Weigh the difference quotients of the outputs by scaled polynomials."""
        x = self.scale * (now - coordinates[0])
        hermite = [1.0, 2 * x]
        for i in range(1, len(coordinates) - 1):
            hermite.append(2 * x * hermite[i] - 2 * i * hermite[i - 1])
        scales = [self.scale**i * hermite[i] / factorial(i) for i in range(len(coordinates))]
        return expansion(coordinates, scales)
