"""Fast forwards: a denoiser of a known class runs from its parts, so that an evaluation costs what it computes."""

from collections.abc import Sequence
from typing import Any, cast

from torch import nn

from smoothbench.caching import grid
from smoothbench.caching.fast.dit import DiT
from smoothbench.caching.fast.forward import FastForward
from smoothbench.caching.fast.parts import Architecture
from smoothbench.caching.fast.pixart import PixArt
from smoothbench.caching.fast.sana import Sana
from smoothbench.caching.fast.slots import Bits, find_slots
from smoothbench.caching.fast.stable_audio import StableAudio
from smoothbench.caching.predictor import Predictor, Weighted
from smoothbench.caching.sites import DENOISER, Site

__all__ = ["FastForward", "fast_forward"]

ARCHITECTURES: dict[str, type[Architecture]] = {
    "DiTTransformer2DModel": DiT,
    "StableAudioDiTModel": StableAudio,
    "PixArtTransformer2DModel": PixArt,
    "SanaTransformer2DModel": Sana,
}


def fast_forward(
    denoiser: nn.Module,
    sites: Sequence[Site],
    rows: Sequence[Bits] | None,
    predictors: Sequence[Predictor],
    coordinates: Sequence[float] | None,
    may_skip: Sequence[bool],
) -> FastForward | None:
    """Return the fast forward of a denoiser; None where its class, its sites, the predictor or the grid are unknown.

    Args: rows, the bits of a static schedule for `sites`, None where a policy decides at run time; predictors, those of
    the sites; coordinates, the timesteps of the run; may_skip, whether each site may ever be reused.
    """
    architecture = _architecture(denoiser)
    # the engine predicts the denoiser's whole output itself; mostly there is one predictor, and asking takes time
    inner = {id(p): p for p, site in zip(predictors, sites, strict=True) if site.level != DENOISER}
    known = all(isinstance(predictor, Weighted) for predictor in inner.values())
    if architecture is None or not known or coordinates is None or not grid.has_timesteps(coordinates):
        return None
    weighted = cast(Sequence[Weighted], predictors)
    slots = find_slots(architecture, sites, weighted, rows)
    if slots is None:
        return None
    of_denoiser = [i for i, site in enumerate(sites) if site.level == DENOISER]
    bits_run = [bits if all(bits[i] for i in of_denoiser) else None for bits in rows or ()]
    return FastForward(architecture, slots, weighted, coordinates, may_skip, bits_run)


def _architecture(denoiser: nn.Module) -> Architecture | None:
    """The architecture that a denoiser declares by a method `cache_parts()`, or that its class is known to have."""
    declare: Any = getattr(denoiser, "cache_parts", None)
    if declare is not None:
        declared: Architecture = declare()
        return declared
    known = ARCHITECTURES.get(type(denoiser).__name__)
    if known is None or not type(denoiser).__module__.startswith("diffusers."):
        return None
    return known(denoiser)
