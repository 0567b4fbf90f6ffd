"""The sites of methods that reuse what all blocks of a transformer add."""

from torch import nn

from baselines.checks import refuse_unet
from smoothbench.caching import Site, find_sites


class WholeStack:
    """A method that decides on the whole stack of blocks; its class is named in the refusal of a U-Net."""

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return a span for each run of blocks with the same streams; ValueError for a U-Net, which has no stack."""
        refuse_unet(type(self).__name__, denoiser)
        return find_sites(denoiser, "span")
