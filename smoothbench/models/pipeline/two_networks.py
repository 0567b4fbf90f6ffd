"""A pipeline with two networks, one after the other in a run, as one denoiser whose weights change on the way."""

from typing import Any, Final

from torch import nn

from smoothbench.caching.two_networks import SecondNetwork

FIRST, SECOND = "transformer", "transformer_2"
HINT: Final = "set model.component to transformer or transformer_2, to cache that one alone"


def joined(pipe: Any, component: str | None, offload: str) -> SecondNetwork | None:
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
    try:
        joint = SecondNetwork(first, second)
    except ValueError:
        raise ValueError(f"the pipeline's two networks differ in more than weights: {HINT}") from None
    second.forward = joint
    return joint
