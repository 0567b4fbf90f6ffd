"""Classes of diffusers that cannot be cached, at all or by their branches, and why."""

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

NO_DENOISER: Mapping[str, str] = MappingProxyType(
    {
        "MotionAdapter": "it adds layers to a U-Net and has no forward of its own: cache the UNetMotionModel",
        "MiniMaxMusic3RVQDepthDecoder": "it samples codes one after another and knows no timestep",
        "WanAnimate2Transformer3DModel": "its first forward fills a cache of keys that the others read, and forwards "
        "without guidance leave out a block",
    }
)
NO_BRANCHES: Mapping[str, str] = MappingProxyType(
    {
        "UNet2DModel": "its attention layers add their input to their output themselves",
        "UNet1DModel": "its layers are convolutions, and attention that adds its input to its output itself",
    }
)
FLEX_ATTENTION = ("AnyFlowFARTransformer3DModel", "Kandinsky6SRTransformer3DModel")


def refuse(denoiser: nn.Module, branches: bool) -> None:
    """Raise ValueError, with the reason, for a class that cannot be cached, or with `branches` not by these."""
    name = type(denoiser).__name__
    if name in NO_DENOISER:
        raise ValueError(f"{name} cannot be cached: {NO_DENOISER[name]}")
    if branches and name in NO_BRANCHES:
        raise ValueError(
            f"{name} has no branches to cache: {NO_BRANCHES[name]}; its levels are 'span' and 'denoiser'"
        )


def refuse_counting(denoiser: nn.Module) -> None:
    """Raise ValueError for a class whose MACs cannot be counted: torch's counter stops at torch's flex attention."""
    name = type(denoiser).__name__
    if name in FLEX_ATTENTION:
        raise ValueError(
            f"the MACs of {name} cannot be counted, as torch's counter stops at flex attention: it follows schedules, "
            "but is not calibrated"
        )
