"""UniPC, a predictor with a corrector that costs no evaluation (Zhao et al. 2023, arXiv 2302.04867, section 3)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from smoothbench.protocols import Noise
from smoothbench.solvers.multistep import Multistep, OnFlow, OnLinearBetas, OnSigmaRange, check_order

VARIANTS = ("bh1", "bh2")


class UniPCState(NamedTuple):
    """The predicted sample, which the denoiser gets next, and what the corrector needs, all [B, ...].

    `corrected` is the sample at the evaluation before, and `earlier_x0` the x0 predicted at up to `order` evaluations,
    the latest first.
    """

    x: Tensor
    corrected: Tensor | None
    earlier_x0: tuple[Tensor, ...]


@dataclass(frozen=True)
class UnifiedPredictorCorrector(Multistep):
    """The explicit steps of UniPC in its x0-prediction form.

    At an evaluation, the corrector takes the step before once more, now with the x0 predicted at its end; from the
    corrected sample, the predictor takes the next step. `variant` is B(h): h (`bh1`) or exp(h) - 1 (`bh2`).
    """

    order: int = 2
    variant: str = "bh2"

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]  # that of the noise levels
        check_order(self.order)
        if self.variant not in VARIANTS:
            raise ValueError(f"solver.variant must be bh1 or bh2, not {self.variant}")

    def begin(self, x: Tensor) -> UniPCState:
        """Start from noise [B, ...] of variance 1, with nothing to correct."""
        return UniPCState(x, None, ())

    def model_input(self, e: int, state: UniPCState) -> Tensor:
        """The denoiser gets the predicted sample as it is, [B, ...]."""
        return state.x

    def step(self, e: int, state: UniPCState, output: Tensor, noise: Noise) -> UniPCState:
        """Correct the sample at evaluation e, and predict the next one, given the denoiser's output [B, ...].

        Draws no fresh noise.
        """
        x, x0 = state.x, self.x0(e, state.x, output)
        if state.corrected is not None:
            latest, *earlier = state.earlier_x0
            x = self._moved(e - 1, state.corrected, latest, [x0, *earlier], self._corrector[e - 1])
        earlier_x0 = (x0, *state.earlier_x0)[: self.order]
        return UniPCState(self._moved(e, x, x0, earlier_x0[1:], self._predictor[e]), x, earlier_x0)

    def sample(self, state: UniPCState) -> Tensor:
        """The finished sample [B, ...] of the last state."""
        return state.x

    def _moved(
        self, e: int, x: Tensor, x0: Tensor, others: Sequence[Tensor], weights: Sequence[float]
    ) -> Tensor:
        """Take the step from evaluation e along x0, bent by its weighted differences to other predictions."""
        moved = self.levels.along_x0(e, x, x0)
        for weight, other in zip(weights, others, strict=False):
            moved = moved - self.levels.alpha[e + 1] * weight * (other - x0)
        return moved

    @cached_property
    def _predictor(self) -> list[list[float]]:
        """For each step the weights of the evaluations before its own, the latest first."""
        return [self._weights(e, self._places(e)) if e < self.steps - 1 else [] for e in range(self.steps)]

    @cached_property
    def _corrector(self) -> list[list[float]]:
        """For each step but the last the weights of its end, and of the evaluations before its own."""
        return [self._weights(e, [1.0, *self._places(e)]) for e in range(self.steps - 1)]

    def _places(self, e: int) -> list[float]:
        """Where the evaluations before e lie that its step uses, in log-SNR: 0 is e, 1 the next one."""
        log_snr = self.levels.log_snr
        h = log_snr[e + 1] - log_snr[e]
        return [(log_snr[e - i] - log_snr[e]) / h for i in range(1, self.order_at(e, self.order))]

    def _weights(self, e: int, places: list[float]) -> list[float]:
        """B(h) a_m / r_m of the paper's equations 3 and 5, for x0 prediction."""
        h = self.levels.log_snr[e + 1] - self.levels.log_snr[e]
        if len(places) == 1:  # then a = 1/2 whatever h, and only here B(h) matters: elsewhere it cancels
            return [(-h if self.variant == "bh1" else math.expm1(-h)) / 2 / places[0]]
        powers = torch.tensor(
            [[place**k for place in places] for k in range(len(places))], dtype=torch.float64
        )
        wanted = torch.tensor(_moments(h, len(places)), dtype=torch.float64)
        solved = torch.linalg.solve(powers, wanted).tolist() if places else []
        return [a / place for a, place in zip(solved, places, strict=True)]


def _moments(h: float, count: int) -> list[float]:
    """n! h phi_(n+1)(h) for n = 1 to count, with the sign of x0 prediction (the paper's section 3.1)."""
    moments, term = list[float](), math.expm1(-h)
    for n in range(1, count + 1):
        term = term / -h - 1 / math.factorial(n)
        moments.append(math.factorial(n) * term)
    return moments


@dataclass(frozen=True)
class UniPC(UnifiedPredictorCorrector, OnLinearBetas):
    """Deterministic UniPC for denoisers that predict noise, on `train_steps` linear betas.

    `order` is the predictor's, 1 to 3, and the corrector's is one more; the paper takes 2 with guidance and 3 without.
    The last steps are of lower order and go to sigma = 0, as diffusers'. Raises ValueError for a number of steps
    outside 2 to `train_steps`, an order outside 1 to 3, an unknown variant and an unknown grid.
    """

    name = "unipc"
    version = 1


@dataclass(frozen=True)
class UniPCFlow(UnifiedPredictorCorrector, OnFlow):
    """Deterministic UniPC for denoisers that predict velocity, on rectified flow's grid.

    Raises ValueError, naming the setting, for values out of range.
    """

    name = "unipc_flow"
    version = 1


@dataclass(frozen=True)
class UniPCV(UnifiedPredictorCorrector, OnSigmaRange):
    """Deterministic UniPC for denoisers that predict v, on a range of noise levels sigma.

    Raises ValueError, naming the setting, for values out of range.
    """

    name = "unipc_v"
    version = 1
