"""Euler's method on the probability-flow ODE (Karras et al. 2022, arXiv 2206.00364, section 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from smoothbench.solvers.linear_betas import LinearBetas, nearest_distinct
from smoothbench.types import Noise, Predict

RHO = 7.0  # Karras et al. 2022, equation 5


@dataclass(frozen=True)
class Euler(LinearBetas):
    """Euler steps in sigma for noise prediction on `train_steps` linear betas, on Karras et al.'s grid.

    With x / alpha as its variable and sigma / alpha as its time, the ODE's slope is the predicted
    noise; an Euler step of it is DDIM's update, so that this solver and DDIM differ in their grids
    alone. Karras et al.'s: the grid (rho = 7, from the noisiest trained level to the least noisy,
    then 0). Theirs for discrete models: rounding it to trained levels; k-diffusion and diffusers
    instead ask the model for fractional timesteps. diffusers, with its default grid, also starts
    from sigma * noise where the forward process gives sqrt(sigma^2 + 1) * noise, as here. Raises
    ValueError for a number of steps outside 2 to `train_steps`.
    """

    name = "euler"
    version = 1

    @property
    def coordinates(self) -> tuple[float, ...]:
        """Timesteps in order of execution, the noisiest first, from the last one to 0."""
        levels = self.sigmas()
        low, high = (level.item() ** (1 / RHO) for level in (levels[0], levels[-1]))
        return nearest_distinct(levels, torch.linspace(low, high, self.steps, dtype=levels.dtype) ** RHO)

    def integrate(self, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
        """From noise x [B, ...] of variance 1 to a sample; `noise` is not drawn from."""
        levels = self.sigmas().tolist()
        sigma = [levels[int(t)] for t in self.coordinates] + [0.0]
        x = x * (sigma[0] ** 2 + 1) ** 0.5
        for e, t in enumerate(self.coordinates):
            epsilon = predict(e, x / (sigma[e] ** 2 + 1) ** 0.5, t)
            x = x + (sigma[e + 1] - sigma[e]) * epsilon
        return x
