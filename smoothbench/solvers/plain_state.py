"""The base class of solvers whose state is the noisy sample alone."""

from torch import Tensor


class PlainState:
    """A solver that keeps only the noisy sample [B, ...] between evaluations and gives it to the denoiser unscaled."""

    def begin(self, x: Tensor) -> Tensor:
        """The first state is the noise itself, [B, ...] of variance 1."""
        return x

    def model_input(self, e: int, state: Tensor) -> Tensor:
        """The denoiser gets the noisy sample as it is, [B, ...]."""
        return state

    def sample(self, state: Tensor) -> Tensor:
        """The last state is the finished sample, [B, ...]."""
        return state
