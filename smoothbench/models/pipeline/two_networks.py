"""A pipeline with two networks, one after the other in a run, as one denoiser whose weights change on the way."""

from typing import Any, Final

from torch import nn
from torch.func import functional_call

FIRST, SECOND = "transformer", "transformer_2"
HINT: Final = "set model.component to transformer or transformer_2, to cache that one alone"


class Second:
    """Takes the place of the second network's forward: runs the first network's modules with the second's weights.

    So the engine sees one denoiser over the whole run. Where the networks change, nothing may be reused
    (`switched_at`). Raises ValueError where the networks differ in more than their weights.
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        state = {**dict(second.named_parameters()), **dict(second.named_buffers())}
        mine = {**dict(first.named_parameters()), **dict(first.named_buffers())}
        if type(first) is not type(second) or _shapes(state) != _shapes(mine):
            raise ValueError(f"the pipeline's two networks differ in more than weights: {HINT}")
        self._first, self._state, self.is_running = first, state, False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run one forward."""
        self.is_running = True
        try:
            return functional_call(self._first, self._state, args, kwargs)
        finally:
            self.is_running = False


def joined(pipe: Any, component: str | None, offload: str) -> Second | None:
    """Join a pipeline's two networks into one denoiser, where it has two and `component` chooses none of them.

    Raises ValueError where they cannot be joined: with offloading, which moves each by itself.
    """
    first, second = (getattr(pipe, name, None) for name in (FIRST, SECOND))
    if component is not None or not isinstance(first, nn.Module) or not isinstance(second, nn.Module):
        return None
    if offload != "none":
        raise ValueError(
            f"model.offload={offload}: the pipeline has two networks, which offloading moves apart: {HINT}"
        )
    joint = Second(first, second)
    second.forward = joint
    return joint


def _shapes(state: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor.shape for name, tensor in state.items()}
