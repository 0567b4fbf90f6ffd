"""ChebBooster (arXiv 2608.23429): extrapolate by barycentric Chebyshev weights."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from smoothbench.caching import Weighted


@dataclass(frozen=True)
class ChebBooster(Weighted):
    """ChebBooster predicts a skipped output from the last `depth` ones (the paper's H) by a barycentric formula.

    The output at distance d_j has the weight rho_j / d_j, divided by the sum of these; rho alternates in sign and is
    0.5 at both ends, 1 between them (section 3.2, equations 8 and 9). Mapping the steps to [-1, 1] cancels. These are
    the weights of the released code; the paper's appendix derives binomial ones for equally spaced outputs, the same
    up to three outputs. The order falls to what the history holds. Unequal spacing can give the formula a pole, of
    which the paper says nothing: where the newest output would not weigh positive, the oldest is left out. Raises
    ValueError unless 2 <= depth <= 6.
    """

    depth: int = 3
    coordinate: str = field(default="index", init=False)
    name = "chebbooster"
    version = 1

    def __post_init__(self) -> None:
        if type(self.depth) is not int or self.depth not in range(2, 7):
            raise ValueError(f"ChebBooster's depth must be 2, 3, 4, 5 or 6, not {self.depth}")

    def weights(self, coordinates: Sequence[float], now: float) -> list[float]:
        """Weigh each output by its barycentric weight over its distance."""
        distances = [now - coordinate for coordinate in coordinates]
        for count in range(len(distances), 1, -1):
            signed = [(-1) ** j * (0.5 if j in (0, count - 1) else 1.0) for j in range(count)]
            terms = [rho / distance for rho, distance in zip(signed, distances, strict=False)]
            if sum(terms) > 1e-6 * terms[0]:
                return [term / sum(terms) for term in terms] + [0.0] * (len(distances) - count)
        return [1.0] + [0.0] * (len(distances) - 1)
