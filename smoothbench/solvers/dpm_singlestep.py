"""DPM-Solver++(2S), second-order singlestep (Lu et al. 2022, arXiv 2211.01095, Algorithm 1 with r = 1/2)."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from smoothbench.protocols import Noise
from smoothbench.solvers.linear_betas import LinearBetas


class SinglestepState(NamedTuple):
    """The noisy sample that the denoiser gets next, and the one at the start of the step under way, both [B, ...]."""

    x: Tensor
    step_start: Tensor


class Level(NamedTuple):
    """A place on the noise schedule: time in (0, 1], log(alpha), and the half log-SNR lambda = log(alpha / sigma)."""

    time: float
    log_alpha: float
    half_log_snr: float

    @property
    def sigma(self) -> float:
        """The noise's standard deviation."""
        return math.exp(self.log_alpha - self.half_log_snr)


@dataclass(frozen=True)
class DPMSolverSinglestep(LinearBetas):
    """Deterministic DPM-Solver++(2S) for denoisers that predict noise in continuous time: two evaluations a step.

    It samples as U-ViT's original code does: `steps` evaluations in steps / 2 steps, even in time from 1 to
    1 / `train_steps`, where it ends. The betas are Stable Diffusion's (their roots are even); the i-th of
    `train_steps`, from 0, belongs to time (i + 1) / `train_steps`, and log(alpha) is linear between these. A step's
    second evaluation lies halfway in the half log-SNR. The denoiser gets `train_steps` times the time, mostly a
    fraction. Raises ValueError for a number of steps that is odd or outside 2 to `train_steps`.
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
        """Signal variance alpha^2 at the times (i + 1) / `train_steps`, float64 [train_steps], falling."""
        roots = torch.linspace(
            self.beta_start**0.5, self.beta_end**0.5, self.train_steps, dtype=torch.float64
        )
        return torch.cumprod(1 - roots**2, 0)

    @property
    def coordinates(self) -> tuple[float, ...]:
        """The denoiser's timesteps in order of execution: for each step its start and its halfway point."""
        return tuple(self.train_steps * level.time for step in self._steps for level in step[:2])

    @property
    def noise_to_signal(self) -> tuple[float, ...]:
        """Ratio sigma / alpha of noise to signal in the sample at each evaluation."""
        return tuple(math.exp(-level.half_log_snr) for step in self._steps for level in step[:2])

    def begin(self, x: Tensor) -> SinglestepState:
        """Start the first step from noise [B, ...] of variance 1."""
        return SinglestepState(x, x)

    def model_input(self, e: int, state: SinglestepState) -> Tensor:
        """The denoiser gets the noisy sample as it is, [B, ...]."""
        return state.x

    def step(self, e: int, state: SinglestepState, output: Tensor, noise: Noise) -> SinglestepState:
        """Go to a step's halfway point (even e) or its end (odd e), given the predicted noise [B, ...].

        Draws no fresh noise.
        """
        start, halfway, end = self._steps[e // 2]
        if e % 2 == 0:
            first = _x0(state.x, output, start)
            return SinglestepState(_moved(state.x, first, start, halfway), state.step_start)
        middle = _x0(state.x, output, halfway)
        # first + (middle - first) / (2 r), which with r = 1/2 is the midpoint rule
        x = _moved(state.step_start, middle, start, end)
        return SinglestepState(x, x)

    def sample(self, state: SinglestepState) -> Tensor:
        """The finished sample [B, ...] of the last state."""
        return state.x

    @cached_property
    def _steps(self) -> list[tuple[Level, Level, Level]]:
        """The levels of every step's start, halfway point and end."""
        times = torch.linspace(1, 1 / self.train_steps, self.steps // 2 + 1, dtype=torch.float64)
        log_alphas = self.alphas_bar().log() / 2
        grid = [_level(time, _log_alpha(log_alphas, time)) for time in times.tolist()]
        return [(start, _halfway(log_alphas, start, end), end) for start, end in pairwise(grid)]


def _log_alpha(log_alphas: Tensor, time: float) -> float:
    """log(alpha) at a time, linear between the trained times; `log_alphas` [train_steps]."""
    last = len(log_alphas) - 1
    place = min(max(time * len(log_alphas) - 1, 0.0), float(last))
    below = min(int(place), last - 1)
    return torch.lerp(log_alphas[below], log_alphas[below + 1], place - below).item()


def _level(time: float, log_alpha: float) -> Level:
    return Level(time, log_alpha, log_alpha - math.log(-math.expm1(2 * log_alpha)) / 2)


def _halfway(log_alphas: Tensor, start: Level, end: Level) -> Level:
    """The level whose half log-SNR is the mean of two levels'."""
    middle = (start.half_log_snr + end.half_log_snr) / 2
    log_alpha = -math.log1p(math.exp(-2 * middle)) / 2
    # the last trained time with at least this much signal: log_alphas falls
    below = int(torch.searchsorted(-log_alphas, -log_alpha).clamp(1, len(log_alphas) - 1)) - 1
    before, after = log_alphas[below].item(), log_alphas[below + 1].item()
    time = (below + 1 + (log_alpha - before) / (after - before)) / len(log_alphas)
    return _level(time, log_alpha)


def _x0(x: Tensor, noise: Tensor, level: Level) -> Tensor:
    """The x0 that predicted noise implies."""
    return (x - level.sigma * noise) / math.exp(level.log_alpha)


def _moved(x: Tensor, x0: Tensor, start: Level, end: Level) -> Tensor:
    """DDIM's update from one level to another, along a constant prediction of x0 (Lu et al. 2022, section 4)."""
    ratio = end.sigma / start.sigma
    return ratio * x - math.exp(end.log_alpha) * math.expm1(start.half_log_snr - end.half_log_snr) * x0
