"""DPM-Solver++(2M), the second-order multistep solver (Lu et al. 2022, arXiv 2211.01095, Algorithm 2)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from smoothbench.solvers.linear_betas import LinearBetas, nearest_distinct
from smoothbench.types import Noise, Predict


@dataclass(frozen=True)
class DPMSolverPlusPlus2M(LinearBetas):
    """Deterministic DPM-Solver++(2M) for noise prediction on `train_steps` linear betas.

    The paper's: the update, and a first step of first order. Its authors' code's: steps of equal
    size in the log-SNR lambda = log(alpha / sigma), which it recommends for low-resolution images
    (its default, and diffusers', is even in time). diffusers' and k-diffusion's: a last step of
    first order to sigma = 0, where the paper stops at a small sigma. Ours: the grid is rounded to
    whole timesteps and the update uses their own lambda; diffusers' `use_lu_lambdas` rounds what
    the model is told but not what the update uses. Raises ValueError for a number of steps outside
    2 to `train_steps`.
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

    def integrate(self, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
        """From noise x [B, ...] to a sample; `noise` is not drawn from."""
        alphas_bar = self.alphas_bar().tolist()
        signal = [alphas_bar[int(t)] for t in self.coordinates] + [1.0]
        alpha, sigma = [s**0.5 for s in signal], [(1 - s) ** 0.5 for s in signal]
        lambdas = [math.log(a / s) for a, s in zip(alpha[:-1], sigma[:-1], strict=True)]
        earlier = x  # the x0 of the evaluation before; not used in the first step
        for e, t in enumerate(self.coordinates):
            x0 = (x - sigma[e] * predict(e, x, t)) / alpha[e]
            data = x0
            if 0 < e < self.steps - 1:
                r = (lambdas[e] - lambdas[e - 1]) / (lambdas[e + 1] - lambdas[e])
                data = x0 + (x0 - earlier) / (2 * r)
            # alpha (1 - exp(-h)) of the paper, in a form that also reaches sigma = 0
            kept = sigma[e + 1] / sigma[e]
            x = kept * x + (alpha[e + 1] - alpha[e] * kept) * data
            earlier = x0
        return x
