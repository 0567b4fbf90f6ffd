"""A polynomial that predicts how much a model's output changes from how much its input does (TeaCache)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite

import torch
from torch import Tensor, nn

from smoothbench.caching.fingerprint import fingerprint


@dataclass(frozen=True)
class Polynomial:
    """A polynomial by its coefficients, the highest power first, and what it was fitted on.

    `denoiser` is that model's fingerprint and `coordinates` are that run's timesteps; where they are left out, as of
    published coefficients, any will do. `r_squared` is the share of variance that the fit explains, None where there
    is no variance. Raises ValueError without coefficients, and for one that is not finite.
    """

    coefficients: Sequence[float]
    denoiser: str | None = None
    coordinates: Sequence[float] | None = None
    r_squared: float | None = None

    def __post_init__(self) -> None:
        numbers = isinstance(self.coefficients, Sequence) and len(self.coefficients) > 0
        if not numbers or not all(type(c) in (int, float) and isfinite(c) for c in self.coefficients):
            raise ValueError(f"a polynomial's coefficients must be finite numbers, not {self.coefficients!r}")

    @property
    def digest(self) -> str:
        """The sha256 of the coefficients and of what they were fitted on."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()

    def __call__(self, x: float) -> float:
        """Evaluate the polynomial."""
        value = 0.0
        for coefficient in self.coefficients:
            value = value * x + coefficient
        return value

    def check_denoiser(self, denoiser: nn.Module) -> None:
        """Raise ValueError, naming both, for another model than the one that it was fitted on."""
        if self.denoiser is not None and self.denoiser != (present := fingerprint(denoiser)):
            raise ValueError(
                f"the polynomial was fitted on a {self.denoiser}, and this is a {present}: fit it anew"
            )


def fitted_to(x: Tensor, y: Tensor, order: int) -> tuple[list[float], float | None]:
    """Fit a polynomial to pairs by least squares: its coefficients, the highest power first, and R squared.

    R squared is None where y does not vary. Raises ValueError for fewer pairs than coefficients. Args: x, y, float64
    [pairs].
    """
    if len(x) <= order:
        raise ValueError(
            f"a polynomial of order {order} cannot be fitted to {len(x)} pairs of neighbouring evaluations: it takes "
            f"{order + 1}, of more calibration samples or more steps"
        )
    powers = torch.stack([x**k for k in range(order, -1, -1)], 1)
    scale = powers.norm(dim=0)  # as in numpy.polyfit: the highest powers are tiny
    solution = torch.linalg.lstsq(powers / scale, y[:, None], driver="gelsd").solution[:, 0] / scale
    left, spread = (y - powers @ solution).square().sum(), (y - y.mean()).square().sum()
    r_squared = 1 - float(left / spread) if spread > 0 else None
    return solution.tolist(), r_squared
