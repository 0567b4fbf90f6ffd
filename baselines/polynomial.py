"""A polynomial that predicts how much a model's output changes from how much its input does (TeaCache)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite

import torch
from torch import Tensor, nn

from smoothbench.caching import grid
from smoothbench.caching.fingerprint import fingerprint


@dataclass(frozen=True)
class Polynomial:
    """A polynomial by its coefficients, the highest power first, and what it was fitted on.

    `denoiser` is the fingerprint of that model and `coordinates` are the timesteps of that run; where they are left
    out (published coefficients), any will do. Raises ValueError without coefficients, or for one that is not finite.
    """

    coefficients: Sequence[float]
    denoiser: str | None = None
    coordinates: Sequence[float] | None = None
    r_squared: float | None = None  # the share of the outputs' variance that the fit explains
    name = "polynomial"
    version = 1

    def __post_init__(self) -> None:
        numbers = isinstance(self.coefficients, Sequence) and len(self.coefficients) > 0
        if not numbers or not all(type(c) in (int, float) and isfinite(c) for c in self.coefficients):
            raise ValueError(f"a polynomial's coefficients must be finite numbers, not {self.coefficients!r}")

    @classmethod
    def fit(
        cls, x: Tensor, y: Tensor, order: int, denoiser: nn.Module, coordinates: Sequence[float]
    ) -> "Polynomial":
        """Fit a polynomial to pairs x and y, both float64 [pairs], by least squares."""
        powers = torch.stack([x**k for k in range(order, -1, -1)], 1)
        scale = powers.norm(dim=0)  # as numpy.polyfit does: the highest powers are tiny
        solution = torch.linalg.lstsq(powers / scale, y[:, None], driver="gelsd").solution[:, 0] / scale
        left = (y - powers @ solution).square().sum() / (y - y.mean()).square().sum()
        return cls(solution.tolist(), fingerprint(denoiser), tuple(coordinates), 1 - float(left))

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
        if self.denoiser not in (None, present := fingerprint(denoiser)):
            raise ValueError(
                f"the polynomial was fitted on a {self.denoiser}, and this is a {present}: fit it anew"
            )

    def mismatch(self, coordinates: Sequence[float]) -> str | None:
        """Say, in one line, why it is not for a run at these timesteps; None where it is."""
        if self.coordinates is None or grid.same(self.coordinates, coordinates):
            return None
        fitted, run = grid.describe(self.coordinates), grid.describe(coordinates)
        return f"the polynomial was fitted on timesteps {fitted}, and the run's are {run}: fit it anew"

    def check_place(self, evals: int | None, e: int, coordinate: float | None) -> None:
        """Raise ValueError where a run has other evaluations, or another timestep at evaluation e."""
        fitted = self.coordinates
        if fitted is None:
            return
        if evals not in (None, len(fitted)) or e >= len(fitted):
            raise ValueError(
                f"the polynomial was fitted on {len(fitted)} evaluations, not {evals or e + 1}: fit it anew"
            )
        if coordinate is not None and grid.has_timesteps(fitted) and not grid.is_close(fitted, e, coordinate):
            raise ValueError(
                f"the polynomial was fitted at timestep {fitted[e]:.6g} of evaluation {e}, and the run is at "
                f"{coordinate:.6g}: fit it anew"
            )
