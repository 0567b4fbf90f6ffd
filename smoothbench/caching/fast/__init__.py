"""Fast forwards: a denoiser of a known class runs from its parts, so that an evaluation costs what it computes."""

from collections.abc import Sequence
from typing import Any, cast

from torch import nn

from smoothbench.caching import grid
from smoothbench.caching.fast.dit import DiT
from smoothbench.caching.fast.followed import FollowedForward, Places
from smoothbench.caching.fast.forward import FastForward
from smoothbench.caching.fast.parts import Architecture
from smoothbench.caching.fast.pixart import PixArt
from smoothbench.caching.fast.sana import Sana
from smoothbench.caching.fast.slots import Bits, find_slots
from smoothbench.caching.fast.stable_audio import StableAudio
from smoothbench.caching.predictor import Predictor, Weighted
from smoothbench.caching.probes import Probe
from smoothbench.caching.sites import DENOISER, Site

__all__ = ["FastForward", "FollowedForward", "fast_forward", "followed_forward"]

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
    architecture, weighted = _architecture(denoiser), _weighted(sites, predictors)
    if architecture is None or weighted is None or coordinates is None or not grid.has_timesteps(coordinates):
        return None
    slots = find_slots(architecture, sites, weighted, rows)
    if slots is None:
        return None
    of_denoiser = [i for i, site in enumerate(sites) if site.level == DENOISER]
    bits_run = [bits if all(bits[i] for i in of_denoiser) else None for bits in rows or ()]
    return FastForward(architecture, slots, weighted, coordinates, may_skip, bits_run)


def followed_forward(
    denoiser: nn.Module,
    sites: Sequence[Site],
    probed: Sequence[tuple[Probe, Site]],
    predictors: Sequence[Predictor],
    coordinates: Sequence[float] | None,
) -> FollowedForward | None:
    """Return the fast forward for decisions while it runs; None where `fast_forward` would, and for long skips.

    Args: probed, the probes on inputs and their places.
    """
    architecture, weighted = _architecture(denoiser), _weighted(sites, predictors)
    if architecture is None or weighted is None or coordinates is None or not grid.has_timesteps(coordinates):
        return None
    slots = find_slots(architecture, sites, weighted, None)
    probed_slots = find_slots(architecture, [place for _, place in probed], weighted, None)
    if slots is None or probed_slots is None or architecture.joins:
        return None
    pairs = [(probe, slot) for (probe, _), slot in zip(probed, probed_slots, strict=True)]
    return FollowedForward(architecture, slots, Places.of(sites, slots, pairs), weighted, coordinates)


def _weighted(sites: Sequence[Site], predictors: Sequence[Predictor]) -> Sequence[Weighted] | None:
    """The predictors, if all tell their weights: but for that of the denoiser's whole output, which the engine asks."""
    # mostly there is one predictor, and asking takes time
    inner = {id(p): p for p, site in zip(predictors, sites, strict=True) if site.level != DENOISER}
    known = all(isinstance(predictor, Weighted) for predictor in inner.values())
    return cast(Sequence[Weighted], predictors) if known else None


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
