"""DPM-Solver++(2M), the second-order multistep solver (Lu et al. 2022, arXiv 2211.01095, Algorithm 2)."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from smoothbench.protocols import Noise
from smoothbench.solvers.linear_betas import LinearBetas, nearest_distinct


class MultistepState(NamedTuple):
    """The noisy sample [B, ...], and the x0 predicted at the evaluation before; None at the first evaluation."""

    x: Tensor
    earlier_x0: Tensor | None


class _Levels(NamedTuple):
    """Signal alpha, noise sigma and log(alpha / sigma) at every evaluation; alpha and sigma of the sample too."""

    alpha: list[float]
    sigma: list[float]
    log_snr: list[float]


@dataclass(frozen=True)
class DPMSolverPlusPlus2M(LinearBetas):
    """Deterministic DPM-Solver++(2M) for denoisers that predict noise, on `train_steps` linear betas.

    From the paper: the update, and a first step of first order. From its authors' code: steps of equal size in the
    log-SNR lambda = log(alpha / sigma), which it recommends for low-resolution images (its default, and diffusers',
    is even in time). From diffusers and k-diffusion: a last step of first order to sigma = 0, where the paper stops
    at a small sigma. Ours: the grid is rounded to whole timesteps, and the update uses the lambda of these; diffusers'
    `use_lu_lambdas` rounds the denoiser's timesteps but not the update's lambdas. Raises ValueError for a number of
    steps outside 2 to `train_steps`.
    """

    steps: int = 20
    name = "dpmpp"
    version = 1

    @property
    def coordinates(self) -> tuple[float, ...]:
        """Timesteps in order of execution, the noisiest first, from the last one to 0."""
        levels = self.sigmas().log()  # -lambda
        even = torch.linspace(levels[0].item(), levels[-1].item(), self.steps, dtype=levels.dtype)
        return nearest_distinct(levels, even)

    def begin(self, x: Tensor) -> MultistepState:
        """Start from noise [B, ...] of variance 1, with no earlier prediction."""
        return MultistepState(x, None)

    def model_input(self, e: int, state: MultistepState) -> Tensor:
        """The denoiser gets the noisy sample as it is, [B, ...]."""
        return state.x

    def step(self, e: int, state: MultistepState, output: Tensor, noise: Noise) -> MultistepState:
        """Go from evaluation e to the next one, given the predicted noise [B, ...]; draws no fresh noise."""
        alpha, sigma, log_snr = self._levels
        x0 = (state.x - sigma[e] * output) / alpha[e]
        data = x0
        if state.earlier_x0 is not None and e < self.steps - 1:
            r = (log_snr[e] - log_snr[e - 1]) / (log_snr[e + 1] - log_snr[e])
            data = x0 + (x0 - state.earlier_x0) / (2 * r)
        # alpha (1 - exp(-h)) of the paper, in a form that also reaches sigma = 0
        ratio = sigma[e + 1] / sigma[e]
        return MultistepState(ratio * state.x + (alpha[e + 1] - alpha[e] * ratio) * data, x0)

    def sample(self, state: MultistepState) -> Tensor:
        """The finished sample [B, ...] of the last state."""
        return state.x

    @cached_property
    def _levels(self) -> _Levels:
        alphas_bar = self.alphas_bar().tolist()
        signal = [alphas_bar[int(t)] for t in self.coordinates] + [1.0]
        alpha, sigma = [s**0.5 for s in signal], [(1 - s) ** 0.5 for s in signal]
        log_snr = [math.log(a / s) for a, s in zip(alpha[:-1], sigma[:-1], strict=True)]
        return _Levels(alpha, sigma, log_snr)
