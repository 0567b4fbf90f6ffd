"""Euler's method on the probability-flow ODE (Karras et al. 2022, arXiv 2206.00364, section 3)."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from smoothbench.protocols import Noise
from smoothbench.solvers.grids import timesteps
from smoothbench.solvers.linear_betas import LinearBetas
from smoothbench.solvers.plain_state import PlainState


@dataclass(frozen=True)
class Euler(PlainState, LinearBetas):
    """Euler steps in sigma for denoisers that predict noise, on the time grid of Karras et al.

    The state is x / alpha and its time is sigma / alpha: then the ODE's slope is the predicted noise, and an Euler
    step is DDIM's update, so this solver and DDIM differ in their grids alone. From Karras et al.: the grid
    (rho = 7, from the noisiest trained level to the least noisy, then 0), and, for discrete models, its rounding to
    trained levels. k-diffusion and diffusers evaluate the denoiser at fractional timesteps instead. diffusers, with
    its default grid, also starts from sigma * noise, where the forward process gives sqrt(sigma^2 + 1) * noise, as
    here. Raises ValueError for a number of steps outside 2 to `train_steps`.
    """

    name = "euler"
    version = 1

    @property
    def coordinates(self) -> tuple[float, ...]:
        """Timesteps in order of execution, the noisiest first, from the last one to 0."""
        return timesteps("karras", self.steps, self.sigmas())

    def begin(self, x: Tensor) -> Tensor:
        """Scale noise [B, ...] of variance 1 to what the forward process gives, over alpha."""
        return x * (self._sigma[0] ** 2 + 1) ** 0.5

    def model_input(self, e: int, state: Tensor) -> Tensor:
        """The noisy sample [B, ...] at evaluation e, scaled back to the variance that the denoiser was trained on."""
        return state / (self._sigma[e] ** 2 + 1) ** 0.5

    def step(self, e: int, state: Tensor, output: Tensor, noise: Noise) -> Tensor:
        """Go from evaluation e to the next one along the predicted noise [B, ...]; draws no fresh noise."""
        return state + (self._sigma[e + 1] - self._sigma[e]) * output

    @cached_property
    def _sigma(self) -> list[float]:
        """Noise over signal, sigma / alpha, at each evaluation, and at last that of the finished sample."""
        levels = self.sigmas().tolist()
        return [levels[int(t)] for t in self.coordinates] + [0.0]
