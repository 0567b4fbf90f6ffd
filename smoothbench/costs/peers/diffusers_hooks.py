"""The caches of diffusers that can be told to compute every N-th evaluation (diffusers.hooks)."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from smoothbench.costs.peers.peer import Peer

BRANCHES = r"transformer_blocks\.\d+\.(attn1|attn2|ff)"
INSTALL = "pip install --upgrade diffusers"


def peers() -> list[Peer]:
    """Return TaylorSeer (orders 0 and 1), MagCache and Pyramid Attention Broadcast as diffusers has them."""
    of_diffusers = partial(Peer, package="diffusers.hooks", install=INSTALL)
    return [
        of_diffusers("diffusers TaylorSeer, order 0", "branches", attach=partial(_taylorseer, 0)),
        of_diffusers("diffusers TaylorSeer, order 1", "branches", attach=partial(_taylorseer, 1)),
        of_diffusers("diffusers MagCache", "all blocks", attach=_mag_cache),
        of_diffusers("diffusers PAB", "attention", attach=_pyramid),
    ]


def _taylorseer(order: int, denoiser: nn.Module, interval: int, evals: int) -> Callable[[], object]:
    import torch
    from diffusers.hooks import TaylorSeerCacheConfig, apply_taylorseer_cache

    config = TaylorSeerCacheConfig(
        cache_interval=interval,
        # it computes evaluation e where e - before - 1 is a multiple of the interval
        disable_cache_before_step=max(interval - 1, 1),
        max_order=order,
        taylor_factors_dtype=torch.float32,
        cache_identifiers=[BRANCHES],
    )
    apply_taylorseer_cache(denoiser, config)
    return _resetting(denoiser)


def _mag_cache(denoiser: nn.Module, interval: int, evals: int) -> Callable[[], object]:
    from diffusers.hooks import MagCacheConfig, apply_mag_cache

    config = MagCacheConfig(
        threshold=0.5,
        max_skip_steps=interval - 1,
        retention_ratio=0.0,
        num_inference_steps=evals,
        mag_ratios=[1.0] * evals,  # no error is ever estimated: the longest gap alone decides
    )
    apply_mag_cache(denoiser, config)
    return _resetting(denoiser)


def _pyramid(denoiser: nn.Module, interval: int, evals: int) -> Callable[[], object]:
    from diffusers.hooks import PyramidAttentionBroadcastConfig, apply_pyramid_attention_broadcast

    always = (-1, 1)  # contains the timestep that the callback gives
    config = PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=interval,
        cross_attention_block_skip_range=interval,
        spatial_attention_timestep_skip_range=always,
        cross_attention_timestep_skip_range=always,
        spatial_attention_block_identifiers=("transformer_blocks",),
        cross_attention_block_identifiers=("transformer_blocks",),
        current_timestep_callback=lambda: 0,
    )
    apply_pyramid_attention_broadcast(denoiser, config)
    return _resetting(denoiser)


def _resetting(denoiser: nn.Module) -> Callable[[], object]:
    """Return what resets the states of all hooks, and sets the cache context, which no pipeline sets here."""
    from diffusers.hooks.hooks import CacheContext, HookRegistry, _set_cache_context

    registry: Any = HookRegistry.check_if_exists_or_initialize(denoiser)
    context = CacheContext("overhead")

    def reset() -> None:
        registry.reset_stateful_hooks()
        _set_cache_context(denoiser, context)

    return reset
