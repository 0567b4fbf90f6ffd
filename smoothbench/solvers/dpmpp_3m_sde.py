"""DPM-Solver++(3M) SDE, the sampler of Stable Audio Open, in the form that k-diffusion made its name for."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

from torch import Tensor

from smoothbench.types import Noise, Predict


@dataclass(frozen=True)
class DPMSolverPlusPlus3MSDE:
    """Multistep DPM-Solver++ of two earlier evaluations, with fresh noise at each step, for v-prediction.

    Its coordinates are noise levels sigma: a noisy sample is x0 + sigma * noise. They fall from
    `sigma_max` to `sigma_min`, with `rho` = 1 evenly in log(sigma) (stable-audio-tools' default); what is
    denoised at the last is the sample. The model is given x / sqrt(sigma^2 + sigma_data^2) and
    sigma, of which it makes its own time, and gives v: with `sigma_data` = 1 and angle = atan(sigma),
    v = cos(angle) * noise - sin(angle) * x0 (Salimans and Ho 2022, arXiv 2202.00512). Guidance of v is that
    of x0, linear in it. An `eta` of 0 adds no noise: the probability-flow ODE. k-diffusion gives the second
    difference half the weight of a third-order method (Lu et al. 2022, arXiv 2211.01095): so
    the error is of second order, if several times smaller than 2M's. On a fixed grid, independent noise
    has the law of its Brownian tree. Raises ValueError, naming the setting, for values out of range, and for levels
    that do not fall strictly, as double precision has them.
    """

    prediction: ClassVar[str] = "v"
    steps: int = 100
    sigma_min: float = 0.3
    sigma_max: float = 500.0
    rho: float = 1.0
    eta: float = 1.0
    sigma_data: float = 1.0
    name = "dpmpp_3m_sde"
    version = 1

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps < 2:
            raise ValueError(f"solver.steps must be a whole number from 2, not {self.steps}")
        for key in ("sigma_min", "sigma_max", "rho", "eta", "sigma_data"):
            value = getattr(self, key)
            known = type(value) in (int, float) and math.isfinite(value)
            if not known or value < 0 or (value == 0 and key != "eta"):
                least = "from 0" if key == "eta" else "above 0"
                raise ValueError(f"solver.{key} must be a finite number {least}, not {value}")
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"solver.sigma_min={self.sigma_min} must be below sigma_max={self.sigma_max}")
        equal = [e for e, (a, b) in enumerate(pairwise(self.coordinates)) if not a > b]
        if equal:
            raise ValueError(
                f"solver.rho={self.rho}, sigma_min={self.sigma_min}, sigma_max={self.sigma_max}: levels {equal[0]} "
                f"and {equal[0] + 1} of {self.steps} are the same: take rho nearer to 1, or the two further apart"
            )

    @cached_property
    def coordinates(self) -> tuple[float, ...]:
        """Noise levels sigma in order of execution, the noisiest first."""
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        ramp = [(1 - e / (self.steps - 1)) ** self.rho for e in range(self.steps)]
        return tuple(math.exp(low + (high - low) * each) for each in ramp)

    def integrate(self, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
        """From noise x [B, ...] of variance 1 to a sample."""
        sigmas = self.coordinates
        x = sigmas[0] * x
        data: list[Tensor] = []  # what was denoised so far, the latest first
        for e, sigma in enumerate(sigmas):
            denoised = self._denoised(x, predict(e, self._scaled(x, sigma), sigma), sigma)
            data = [denoised, *data[:2]]
            if e < self.steps - 1:
                x = self._step(e, x, data)
                if self.eta:
                    x = x + self._spread(e) * noise()
        return data[0]

    def _scaled(self, x: Tensor, sigma: float) -> Tensor:
        return x / math.hypot(sigma, self.sigma_data)

    def _denoised(self, x: Tensor, v: Tensor, sigma: float) -> Tensor:
        """The x0 of a v-prediction (Karras et al. 2022, arXiv 2206.00364, section 5, with its signs for v)."""
        total = math.hypot(sigma, self.sigma_data)
        return (self.sigma_data / total) ** 2 * x - sigma * self.sigma_data / total * v

    def _step(self, e: int, x: Tensor, data: list[Tensor]) -> Tensor:
        """The mean of x at the next level, by what was denoised here and at up to two levels before."""
        h = self._width(e)
        decay = (1 + self.eta) * h
        x = math.exp(-decay) * x - math.expm1(-decay) * data[0]
        if e == 0:
            return x
        phi_2 = math.expm1(-decay) / decay + 1
        latest = (data[0] - data[1]) * (h / self._width(e - 1))
        if e == 1:
            return x + phi_2 * latest
        phi_3 = phi_2 / decay - 0.5
        r0, r1 = self._width(e - 1) / h, self._width(e - 2) / h
        second = (latest - (data[1] - data[2]) / r1) / (r0 + r1)
        return x + phi_2 * (latest + r0 * second) - phi_3 * second

    def _width(self, e: int) -> float:
        """Of the step from evaluation e: in lambda = -log(sigma)."""
        return math.log(self.coordinates[e] / self.coordinates[e + 1])

    def _spread(self, e: int) -> float:
        """Standard deviation of the noise added in the step from evaluation e."""
        return self.coordinates[e + 1] * math.sqrt(-math.expm1(-2 * self.eta * self._width(e)))
