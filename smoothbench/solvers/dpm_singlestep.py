"""DPM-Solver++(2S), second-order singlestep (Lu et al. 2022, arXiv 2211.01095, Algorithm 1 with r = 1/2)."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from smoothbench.solvers.linear_betas import LinearBetas
from smoothbench.types import Noise, Predict

Level = tuple[float, float, float]  # continuous time, log(alpha), half log-SNR lambda = log(alpha / sigma)


@dataclass(frozen=True)
class DPMSolverSinglestep(LinearBetas):
    """Deterministic DPM-Solver++(2S) for noise prediction in continuous time, two evaluations a step.

    As U-ViT's reference samples: `steps` evaluations in steps / 2 steps, even in time from 1 to
    1 / `train_steps`, where it ends; `train_steps` betas whose roots are even (Stable Diffusion's), of
    which the i-th, from 0, belongs to time (i + 1) / `train_steps`; log(alpha) is linear between these. A
    step's second evaluation lies halfway in the half log-SNR. The model is told `train_steps` times the
    time, a fraction mostly. Raises ValueError for a number of steps that is odd or outside 2 to
    `train_steps`.
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012
    name = "dpm_singlestep"
    version = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps % 2:
            raise ValueError(
                f"solver.steps={self.steps}: a step takes two model evaluations, so their number is even"
            )

    def alphas_bar(self) -> Tensor:
        """Signal variance at the times (i + 1) / `train_steps`, float64 [train_steps], falling."""
        roots = torch.linspace(
            self.beta_start**0.5, self.beta_end**0.5, self.train_steps, dtype=torch.float64
        )
        return torch.cumprod(1 - roots**2, 0)

    @property
    def coordinates(self) -> tuple[float, ...]:
        """What the model is told, in order of execution: each step's start and its halfway point."""
        return tuple(self.train_steps * time for step in self._steps for time, _, _ in step[:2])

    def integrate(self, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
        """From noise x [B, ...] to a sample; `noise` is not drawn from."""
        told = self.coordinates

        def data(e: int, x: Tensor, at: Level) -> Tensor:
            return (x - _sigma(at) * predict(e, x, told[e])) / math.exp(at[1])

        for i, (start, halfway, end) in enumerate(self._steps):
            first = data(2 * i, x, start)
            middle = data(2 * i + 1, _moved(x, first, start, halfway), halfway)
            # first + (middle - first) / (2 r), which with r = 1/2 is the midpoint rule
            x = _moved(x, middle, start, end)
        return x

    @cached_property
    def _steps(self) -> list[tuple[Level, Level, Level]]:
        """Of each step the start, the point halfway, and the end."""
        times = torch.linspace(1, 1 / self.train_steps, self.steps // 2 + 1, dtype=torch.float64)
        log_alphas = self.alphas_bar().log() / 2
        grid = [_level(time, _log_alpha(log_alphas, time)) for time in times.tolist()]
        return [(s, _halfway(log_alphas, s, t), t) for s, t in pairwise(grid)]


def _log_alpha(log_alphas: Tensor, time: float) -> float:
    """log(alpha) at a time, linear between the trained ones."""
    last = len(log_alphas) - 1
    place = min(max(time * len(log_alphas) - 1, 0.0), float(last))
    below = min(int(place), last - 1)
    return torch.lerp(log_alphas[below], log_alphas[below + 1], place - below).item()


def _level(time: float, log_alpha: float) -> Level:
    return time, log_alpha, log_alpha - math.log(-math.expm1(2 * log_alpha)) / 2


def _sigma(level: Level) -> float:
    return math.exp(level[1] - level[2])


def _halfway(log_alphas: Tensor, start: Level, end: Level) -> Level:
    """The level whose lambda is the mean of two others'."""
    middle = (start[2] + end[2]) / 2
    log_alpha = -math.log1p(math.exp(-2 * middle)) / 2
    # the last trained time with at least this much signal: log_alphas falls
    below = int(torch.searchsorted(-log_alphas, -log_alpha).clamp(1, len(log_alphas) - 1)) - 1
    before, after = log_alphas[below].item(), log_alphas[below + 1].item()
    time = (below + 1 + (log_alpha - before) / (after - before)) / len(log_alphas)
    return _level(time, log_alpha)


def _moved(x: Tensor, data: Tensor, start: Level, end: Level) -> Tensor:
    """DDIM's update along a constant data prediction (Lu et al. 2022, section 4)."""
    kept = _sigma(end) / _sigma(start)
    return kept * x - math.exp(end[1]) * math.expm1(start[2] - end[2]) * data
