"""A solver run on a prediction function instead of a model, through the harness's own loop."""

from typing import Any, NoReturn

from torch import Tensor

from smoothbench.protocols import Noise, Predict
from smoothbench.sampling.loop import final_sample, solver_states


def no_noise() -> NoReturn:
    """What a deterministic solver may not draw from."""
    raise AssertionError("a deterministic solver drew fresh noise")


def solve(solver: Any, x: Tensor, predict: Predict, noise: Noise = no_noise) -> Tensor:
    """The sample [B, ...] that a solver makes of noise x with a prediction function."""
    return final_sample(solver, solver_states(solver, x, predict, noise))
