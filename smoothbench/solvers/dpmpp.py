"""DPM-Solver++(2M), the second-order multistep solver (Lu et al. 2022, arXiv 2211.01095, Algorithm 2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from smoothbench.protocols import Noise
from smoothbench.solvers.multistep import Multistep, OnFlow, OnLinearBetas, OnSigmaRange


class MultistepState(NamedTuple):
    """The noisy sample [B, ...], and the x0 predicted at the evaluation before; None at the first evaluation."""

    x: Tensor
    earlier_x0: Tensor | None


class TwoM(Multistep):
    """The explicit steps of DPM-Solver++(2M): the first and the last one are of first order."""

    def begin(self, x: Tensor) -> MultistepState:
        """Start from noise [B, ...] of variance 1, with no earlier prediction."""
        return MultistepState(x, None)

    def model_input(self, e: int, state: MultistepState) -> Tensor:
        """The denoiser gets the noisy sample as it is, [B, ...]."""
        return state.x

    def step(self, e: int, state: MultistepState, output: Tensor, noise: Noise) -> MultistepState:
        """Go from evaluation e to the next one, given the denoiser's output [B, ...]; draws no fresh noise."""
        log_snr = self.levels.log_snr
        x0 = data = self.x0(e, state.x, output)
        if state.earlier_x0 is not None and self.order_at(e, 2) == 2:
            r = (log_snr[e] - log_snr[e - 1]) / (log_snr[e + 1] - log_snr[e])
            data = x0 + (x0 - state.earlier_x0) / (2 * r)
        return MultistepState(self.levels.along_x0(e, state.x, data), x0)

    def sample(self, state: MultistepState) -> Tensor:
        """The finished sample [B, ...] of the last state."""
        return state.x


@dataclass(frozen=True)
class DPMSolverPlusPlus2M(TwoM, OnLinearBetas):
    """Deterministic DPM-Solver++(2M) for denoisers that predict noise, on `train_steps` linear betas.

    From the paper: the update, and a first step of first order. From its authors' code: steps of equal size in the
    log-SNR lambda = log(alpha / sigma), the default `grid`, which it recommends for low-resolution images (its own
    default, and diffusers', is even in time: `linspace`). From diffusers and k-diffusion: a last step of first order
    to sigma = 0, where the paper stops at a small sigma. Ours: a grid is rounded to whole timesteps, and the update
    uses the lambda of these; diffusers' `use_lu_lambdas` and `use_karras_sigmas` round the denoiser's timesteps but not
    the update's lambdas. Raises ValueError for a number of steps outside 2 to `train_steps`, and for an unknown grid.
    """

    gained: ClassVar[Mapping[str, Any]] = MappingProxyType({"grid": "log_snr"})
    name = "dpmpp"
    version = 1


@dataclass(frozen=True)
class DPMSolverPlusPlus2MFlow(TwoM, OnFlow):
    """Deterministic DPM-Solver++(2M) for denoisers that predict velocity, on rectified flow's grid.

    Raises ValueError, naming the setting, for values out of range.
    """

    name = "dpmpp_flow"
    version = 1


@dataclass(frozen=True)
class DPMSolverPlusPlus2MV(TwoM, OnSigmaRange):
    """Deterministic DPM-Solver++(2M) for denoisers that predict v, on a range of noise levels sigma.

    Raises ValueError, naming the setting, for values out of range.
    """

    name = "dpmpp_v"
    version = 1
