"""The whole stack of a transformer's blocks, for methods that reuse it as one."""

from torch import nn

from smoothbench.caching import Site, find_sites
from smoothbench.caching.blocks import is_unet


def whole_stack(denoiser: nn.Module, method: str) -> tuple[Site, ...]:
    """Return the spans of all blocks of a transformer; ValueError, naming the method, for a U-Net.

    There is one span for each run of blocks with the same streams.
    """
    if is_unet(denoiser):
        raise ValueError(
            f"{method} needs a transformer's stack of blocks, and {type(denoiser).__name__} is a U-Net"
        )
    return find_sites(denoiser, "span")
