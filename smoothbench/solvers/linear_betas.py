"""The noise schedule that solvers for noise prediction share: linear betas (Ho et al. 2020, arXiv 2006.11239)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class LinearBetas:
    """A variance-preserving noise schedule of `train_steps` discrete levels, `steps` of which a solver evaluates.

    A noisy sample is x_t = alpha_t * x_0 + sigma_t * noise with alpha_t^2 = alphas_bar[t] and
    sigma_t^2 = 1 - alpha_t^2. Raises ValueError for a number of steps outside 2 to `train_steps`.
    """

    prediction: ClassVar[str] = "noise"
    steps: int = 50
    train_steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or not 2 <= self.steps <= self.train_steps:
            raise ValueError(
                f"solver.steps must be a whole number from 2 to {self.train_steps}, not {self.steps}"
            )

    def alphas_bar(self) -> Tensor:
        """Signal variance alpha^2 at every timestep, float64 [train_steps], falling."""
        betas = torch.linspace(self.beta_start, self.beta_end, self.train_steps, dtype=torch.float64)
        return torch.cumprod(1 - betas, 0)

    def sigmas(self) -> Tensor:
        """Ratio sigma_t / alpha_t of noise to signal at every timestep, float64 [train_steps], rising."""
        alphas_bar = self.alphas_bar()
        return ((1 - alphas_bar) / alphas_bar).sqrt()

    @property
    def coordinates(self) -> tuple[float, ...]:
        """Timesteps in order of execution, the noisiest first; a solver's own."""
        raise NotImplementedError

    @property
    def noise_to_signal(self) -> tuple[float, ...]:
        """Ratio sigma / alpha of noise to signal in the sample at each evaluation."""
        levels = self.sigmas().tolist()
        return tuple(levels[int(t)] for t in self.coordinates)
