"""DDIM with the reference implementation's time grid (Song et al. 2021; facebookresearch/DiT)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from smoothbench.types import Noise, Predict


@dataclass(frozen=True)
class DDIM:
    """Deterministic DDIM for noise prediction on `train_steps` linear betas.

    The grid is spread evenly from 0 to the last timestep and each update goes to the previous
    timestep of the grid: diffusers' scheduler differs in both. Raises ValueError for a number of
    steps outside 2 to `train_steps`.
    """

    steps: int = 50
    train_steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or not 2 <= self.steps <= self.train_steps:
            raise ValueError(
                f"solver.steps must be a whole number from 2 to {self.train_steps}, not {self.steps}"
            )

    @property
    def coordinates(self) -> tuple[float, ...]:
        """Timesteps in order of execution, the noisiest first."""
        stride = (self.train_steps - 1) / (self.steps - 1)
        return tuple(float(round(i * stride)) for i in reversed(range(self.steps)))

    def integrate(self, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
        """From noise x [B, ...] to a sample; `noise` is not drawn from."""
        betas = torch.linspace(self.beta_start, self.beta_end, self.train_steps, dtype=torch.float64)
        alphas_bar = torch.cumprod(1 - betas, 0).tolist()
        signal = [alphas_bar[int(t)] for t in self.coordinates] + [1.0]
        for e, t in enumerate(self.coordinates):
            epsilon = predict(e, x, t)
            x0 = (x - (1 - signal[e]) ** 0.5 * epsilon) / signal[e] ** 0.5
            x = signal[e + 1] ** 0.5 * x0 + (1 - signal[e + 1]) ** 0.5 * epsilon
        return x
