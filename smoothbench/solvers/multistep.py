"""What multistep solvers share: the noise levels of their steps, and what a denoiser's output says there.

A multistep solver (DPM-Solver++(2M), UniPC, DEIS) comes in three forms, for denoisers that predict noise, velocity or
v. They differ in their grid and in how x0 and noise follow from an output; `OnLinearBetas`, `OnFlow` and
`OnSigmaRange` say both.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from smoothbench.solvers.flow_times import FlowTimes
from smoothbench.solvers.grids import timesteps
from smoothbench.solvers.linear_betas import LinearBetas
from smoothbench.solvers.sigma_range import SigmaRange

# time of rectified flow from which a multistep solver begins, as diffusers' do: the log-SNR there is finite
NOISIEST = 1 - 1e-6


class Levels(NamedTuple):
    """Signal alpha and noise sigma at every evaluation and of the finished sample, where sigma is 0.

    A noisy sample is alpha * x0 + sigma * noise. `log_snr` is log(alpha / sigma) at every evaluation.
    """

    alpha: list[float]
    sigma: list[float]
    log_snr: list[float]

    def along_x0(self, e: int, x: Tensor, x0: Tensor) -> Tensor:
        """Move x [B, ...] from evaluation e to the next level along a constant x0: the first-order step, DDIM's."""
        # alpha (1 - exp(-h)) of the papers, in a form that also reaches sigma = 0
        ratio = self.sigma[e + 1] / self.sigma[e]
        return ratio * x + (self.alpha[e + 1] - self.alpha[e] * ratio) * x0


class Multistep(ABC):
    """A solver whose step uses what was predicted at earlier evaluations; its noisy samples have a variance of 1.

    Orders rise from 1 at the first step and fall to 1 at the last, which goes to a noise level of 0.
    """

    steps: int

    @property
    @abstractmethod
    def levels(self) -> Levels:
        """The noise levels of all evaluations."""

    @abstractmethod
    def x0(self, e: int, x: Tensor, output: Tensor) -> Tensor:
        """The x0 [B, ...] that the output at evaluation e implies, for the noisy sample x."""

    @abstractmethod
    def noise(self, e: int, x: Tensor, output: Tensor) -> Tensor:
        """The noise [B, ...] that the output at evaluation e implies, for the noisy sample x."""

    def order_at(self, e: int, highest: int) -> int:
        """The order of the step from evaluation e: as many outputs as there are, and fewer at the end."""
        return min(highest, e + 1, self.steps - e)


@dataclass(frozen=True)
class OnLinearBetas(Multistep, LinearBetas):
    """A multistep solver for denoisers that predict noise, on `train_steps` linear betas.

    `grid` names the timesteps: log_snr, karras, quadratic, linspace, leading or trailing
    (`smoothbench.solvers.grids.timesteps`). The update uses the noise levels of these whole timesteps. Raises
    ValueError for a number of steps outside 2 to `train_steps`, and for a grid of another name, or one that would
    evaluate a timestep twice.
    """

    steps: int = 20
    grid: str = "log_snr"

    def __post_init__(self) -> None:
        super().__post_init__()
        timesteps(self.grid, self.steps, self.sigmas())

    @cached_property
    def coordinates(self) -> tuple[float, ...]:
        """Timesteps in order of execution, the noisiest first."""
        return timesteps(self.grid, self.steps, self.sigmas())

    @cached_property
    def levels(self) -> Levels:
        """The noise levels of all evaluations."""
        alphas_bar = self.alphas_bar().tolist()
        signal = [alphas_bar[int(t)] for t in self.coordinates] + [1.0]
        return _levels([s**0.5 for s in signal], [(1 - s) ** 0.5 for s in signal])

    def x0(self, e: int, x: Tensor, output: Tensor) -> Tensor:
        """The x0 [B, ...] that predicted noise implies, for the noisy sample x."""
        return (x - self.levels.sigma[e] * output) / self.levels.alpha[e]

    def noise(self, e: int, x: Tensor, output: Tensor) -> Tensor:
        """The predicted noise itself, [B, ...]."""
        return output


@dataclass(frozen=True)
class OnFlow(Multistep, FlowTimes):
    """A multistep solver for denoisers that predict velocity, on rectified flow's grid.

    It begins at the time 1 - 1e-6 in place of 1, as diffusers does, so that the signal-to-noise ratio is not 0.
    """

    @cached_property
    def levels(self) -> Levels:
        """The noise levels of all evaluations."""
        return _levels([1 - t for t in self._times], list(self._times))

    def x0(self, e: int, x: Tensor, output: Tensor) -> Tensor:
        """The x0 [B, ...] that predicted velocity implies, for the noisy sample x."""
        return x + self.levels.sigma[e] * output

    def noise(self, e: int, x: Tensor, output: Tensor) -> Tensor:
        """The noise [B, ...] that predicted velocity implies, for the noisy sample x."""
        return x - self.levels.alpha[e] * output

    @cached_property
    def _times(self) -> list[float]:
        """Time t in (0, 1) of each evaluation, and at last that of the finished sample, 0."""
        return [min(t, NOISIEST) for t in FlowTimes(self.steps, self.shift)._times]


@dataclass(frozen=True)
class OnSigmaRange(Multistep, SigmaRange):
    """A multistep solver for denoisers that predict v, on a range of noise levels sigma: it solves the ODE.

    The sample is divided by sqrt(sigma^2 + 1), as the denoiser gets it, so that alpha^2 + sigma^2 = 1 here.
    """

    @cached_property
    def levels(self) -> Levels:
        """The noise levels of all evaluations."""
        totals = [math.hypot(sigma, 1) for sigma in (*self.coordinates, 0.0)]
        sigmas = [sigma / total for sigma, total in zip((*self.coordinates, 0.0), totals, strict=True)]
        return _levels([1 / total for total in totals], sigmas)

    def x0(self, e: int, x: Tensor, output: Tensor) -> Tensor:
        """The x0 [B, ...] that predicted v implies, for the noisy sample x (Salimans and Ho 2022, section 4)."""
        return self.levels.alpha[e] * x - self.levels.sigma[e] * output

    def noise(self, e: int, x: Tensor, output: Tensor) -> Tensor:
        """The noise [B, ...] that predicted v implies, for the noisy sample x."""
        return self.levels.sigma[e] * x + self.levels.alpha[e] * output


def check_order(order: int) -> None:
    """Raise ValueError for an order of a multistep solver other than 1, 2 or 3."""
    if type(order) is not int or order not in (1, 2, 3):
        raise ValueError(f"solver.order must be 1, 2 or 3, not {order}")


def _levels(alpha: list[float], sigma: list[float]) -> Levels:
    return Levels(alpha, sigma, [math.log(a / s) for a, s in zip(alpha[:-1], sigma[:-1], strict=True)])
