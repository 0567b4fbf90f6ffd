"""DPM-Solver++(3M) SDE, the sampler of Stable Audio Open, as k-diffusion defines it (arXiv 2211.01095)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from smoothbench.protocols import Noise
from smoothbench.solvers.sigma_range import SigmaRange


class SDEState(NamedTuple):
    """The noisy sample, and the x0 predicted at up to two earlier evaluations, the latest first, all [B, ...]."""

    x: Tensor
    earlier_x0: tuple[Tensor, ...]


@dataclass(frozen=True)
class DPMSolverPlusPlus3MSDE(SigmaRange):
    """Multistep DPM-Solver++ with fresh noise at every step, for denoisers that predict v.

    A step uses the x0 predicted at its own and two earlier evaluations. Coordinates are noise levels sigma: a noisy
    sample is x0 + sigma * noise. They fall from `sigma_max` to `sigma_min`, with `rho` = 1 evenly in log(sigma)
    (stable-audio-tools' default), and the x0 predicted at the last one is the sample. The denoiser gets
    x / sqrt(sigma^2 + sigma_data^2) and sigma, from which it makes a time of its own. It predicts v: with
    `sigma_data` = 1 and angle = atan(sigma), v = cos(angle) * noise - sin(angle) * x0 (Salimans and Ho 2022,
    arXiv 2202.00512); guidance of v is guidance of x0, which is linear in it. An `eta` of 0 adds no noise and solves
    the probability-flow ODE. k-diffusion gives the second difference half the weight of a third-order method, so the
    error is of second order, though several times smaller than 2M's. On a fixed grid, independent noise has the law
    of k-diffusion's Brownian tree. Raises ValueError, naming the setting, for values out of range, and for levels
    that do not fall strictly in double precision.
    """

    eta: float = 1.0
    sigma_data: float = 1.0
    name = "dpmpp_3m_sde"
    version = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_numbers("eta", may_be_zero=True)
        self._check_numbers("sigma_data")

    def begin(self, x: Tensor) -> SDEState:
        """Scale noise [B, ...] of variance 1 to the first noise level; nothing is predicted yet."""
        return SDEState(self.coordinates[0] * x, ())

    def model_input(self, e: int, state: SDEState) -> Tensor:
        """The noisy sample [B, ...] at evaluation e, scaled to a variance of about 1."""
        return state.x / math.hypot(self.coordinates[e], self.sigma_data)

    def step(self, e: int, state: SDEState, output: Tensor, noise: Noise) -> SDEState:
        """Go from evaluation e to the next noise level, given the predicted v [B, ...].

        Draws fresh noise once, unless `eta` is 0; after the last evaluation it only predicts x0.
        """
        x0 = (self._x0(e, state.x, output), *state.earlier_x0)
        x = state.x
        if e < self.steps - 1:
            x = self._mean_at_next_level(e, x, x0)
            if self.eta:
                x = x + self._noise_std(e) * noise()
        return SDEState(x, x0[:2])

    def sample(self, state: SDEState) -> Tensor:
        """The finished sample [B, ...]: the x0 predicted at the last evaluation."""
        return state.earlier_x0[0]

    def _x0(self, e: int, x: Tensor, v: Tensor) -> Tensor:
        """The x0 that predicted v implies (Karras et al. 2022, arXiv 2206.00364, section 5, with its signs for v)."""
        sigma = self.coordinates[e]
        total = math.hypot(sigma, self.sigma_data)
        return (self.sigma_data / total) ** 2 * x - sigma * self.sigma_data / total * v

    def _mean_at_next_level(self, e: int, x: Tensor, x0: Sequence[Tensor]) -> Tensor:
        """The mean of x at the next level, from the x0 predicted at e and at up to two evaluations before."""
        h = self._log_sigma_step(e)
        decay = (1 + self.eta) * h
        x = math.exp(-decay) * x - math.expm1(-decay) * x0[0]
        if len(x0) == 1:
            return x
        phi_2 = math.expm1(-decay) / decay + 1
        latest = (x0[0] - x0[1]) * (h / self._log_sigma_step(e - 1))
        if len(x0) == 2:
            return x + phi_2 * latest
        phi_3 = phi_2 / decay - 0.5
        r0, r1 = self._log_sigma_step(e - 1) / h, self._log_sigma_step(e - 2) / h
        second = (latest - (x0[1] - x0[2]) / r1) / (r0 + r1)
        return x + phi_2 * (latest + r0 * second) - phi_3 * second

    def _log_sigma_step(self, e: int) -> float:
        """Size of the step from evaluation e, in lambda = -log(sigma)."""
        return math.log(self.coordinates[e] / self.coordinates[e + 1])

    def _noise_std(self, e: int) -> float:
        """Standard deviation of the noise added in the step from evaluation e."""
        return self.coordinates[e + 1] * math.sqrt(-math.expm1(-2 * self.eta * self._log_sigma_step(e)))
