"""Two networks that follow each other in a run, as one denoiser whose weights change on the way (Wan 2.2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.func import functional_call


class SecondNetwork:
    """Takes the place of a second network's forward: runs the first network's modules with the second's weights.

    So the engine sees one denoiser over the whole run. Where the networks change, nothing may be reused. Raises
    ValueError where the networks differ in more than their weights.
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        state, mine = _state(second), _state(first)
        if type(first) is not type(second) or _shapes(state) != _shapes(mine):
            raise ValueError(
                "the pipeline's two networks differ in more than weights: cache one of them alone"
            )
        self._first, self._state, self.is_running = first, state, False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run one forward."""
        self.is_running = True
        try:
            return functional_call(self._first, self._state, args, kwargs)
        finally:
            self.is_running = False


@contextmanager
def joined(first: nn.Module, second: nn.Module) -> Iterator[None]:
    """Run a second network through the modules of the first one within a context: one schedule then covers both.

    `with joined(pipe.transformer, pipe.transformer_2), cached(pipe.transformer, schedule): ...`; the schedule computes
    everything where the second one begins. Raises ValueError where the networks differ in more than their weights, and
    where offloading moves the second one.
    """
    if "forward" in vars(second):
        raise ValueError("the second network's forward was replaced (offloading?): cache one of them alone")
    second.forward = SecondNetwork(first, second)
    try:
        yield
    finally:
        del second.forward


def _state(network: nn.Module) -> dict[str, Any]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _shapes(state: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor.shape for name, tensor in state.items()}
