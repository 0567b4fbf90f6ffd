"""DEIS, log-rho Adams-Bashforth multistep (Zhang and Chen 2023, arXiv 2204.13902, section 3 and appendix B)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from smoothbench.protocols import Noise
from smoothbench.solvers.multistep import Multistep, OnFlow, OnLinearBetas, OnSigmaRange, check_order


class DEISState(NamedTuple):
    """The noisy sample, and the noise predicted at up to `order` - 1 evaluations before, latest first, [B, ...]."""

    x: Tensor
    earlier_noise: tuple[Tensor, ...]


@dataclass(frozen=True)
class LogRhoAdamsBashforth(Multistep):
    """The explicit steps of DEIS: the noise is a polynomial in log(rho) through the last `order` predictions.

    rho = sigma / alpha. Along it x / alpha is the integral of the noise, which is exact for such a polynomial.
    """

    order: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]  # that of the noise levels
        check_order(self.order)

    def begin(self, x: Tensor) -> DEISState:
        """Start from noise [B, ...] of variance 1, with no earlier prediction."""
        return DEISState(x, ())

    def model_input(self, e: int, state: DEISState) -> Tensor:
        """The denoiser gets the noisy sample as it is, [B, ...]."""
        return state.x

    def step(self, e: int, state: DEISState, output: Tensor, noise: Noise) -> DEISState:
        """Go from evaluation e to the next one, given the denoiser's output [B, ...]; draws no fresh noise."""
        latest = self.noise(e, state.x, output)
        # the weights of all predictions sum to the step in rho: what is left of a step along constant noise is DDIM's
        x = self.levels.along_x0(e, state.x, self.x0(e, state.x, output))
        for weight, earlier in zip(self._weights[e], state.earlier_noise, strict=False):
            x = x + self.levels.alpha[e + 1] * weight * (earlier - latest)
        return DEISState(x, (latest, *state.earlier_noise)[: self.order - 1])

    def sample(self, state: DEISState) -> Tensor:
        """The finished sample [B, ...] of the last state."""
        return state.x

    @cached_property
    def _weights(self) -> list[list[float]]:
        """For each step the weights of the noise predicted at the evaluations before its own, the latest first."""
        log_rho = [-value for value in self.levels.log_snr]
        return [_earlier_weights(log_rho, e, self.order_at(e, self.order)) for e in range(self.steps)]


def _earlier_weights(log_rho: list[float], e: int, order: int) -> list[float]:
    """The integrals over rho, along the step from e, of the Lagrange polynomials of the evaluations before e."""
    nodes = [log_rho[e - i] for i in range(order)]
    others = [[node for node in nodes if node != one] for one in nodes]
    return [_integral(others[i], nodes[i], log_rho[e], log_rho[e + 1]) for i in range(1, order)]


def _integral(zeros: Sequence[float], one: float, first: float, last: float) -> float:
    """The integral over rho of the polynomial in L = log(rho) with these zeros and the value 1 at `one`.

    Up to second degree, as P - P' + P'' times rho is an antiderivative of P(log(rho)).
    """

    def antiderivative(log_rho: float) -> float:
        factors = [log_rho - zero for zero in zeros]
        slope = sum(factors) if len(factors) == 2 else 1.0
        return math.exp(log_rho) * (math.prod(factors) - slope + (2.0 if len(factors) == 2 else 0.0))

    return (antiderivative(last) - antiderivative(first)) / math.prod(one - zero for zero in zeros)


@dataclass(frozen=True)
class DEIS(LogRhoAdamsBashforth, OnLinearBetas):
    """Deterministic DEIS (log-rho tAB) for denoisers that predict noise, on `train_steps` linear betas.

    `order` is the number of predictions that a step uses, 1 to 3; with 1 it is DDIM. The last steps are of lower order
    and go to sigma = 0, where the paper stops at a small time and diffusers at the noise of timestep 0 (and lowers
    orders only below 15 steps). The paper's grid is `quadratic`. Raises ValueError for a number of steps outside 2 to
    `train_steps`, an order outside 1 to 3 and an unknown grid.
    """

    name = "deis"
    version = 1


@dataclass(frozen=True)
class DEISFlow(LogRhoAdamsBashforth, OnFlow):
    """Deterministic DEIS (log-rho tAB) for denoisers that predict velocity, on rectified flow's grid.

    Raises ValueError, naming the setting, for values out of range.
    """

    name = "deis_flow"
    version = 1


@dataclass(frozen=True)
class DEISV(LogRhoAdamsBashforth, OnSigmaRange):
    """Deterministic DEIS (log-rho tAB) for denoisers that predict v, on a range of noise levels sigma.

    Raises ValueError, naming the setting, for values out of range.
    """

    name = "deis_v"
    version = 1
