"""cache-dit's static masks of evaluations (vipshop/cache-dit, `steps_computation_mask`)."""

from collections.abc import Callable

from torch import nn

from smoothbench.costs.peers.peer import Peer, every


def peers() -> list[Peer]:
    """Return cache-dit with a static mask, which always computes the first block (F1B0)."""
    install = "pip install -c constraints.txt -e '.[peers]'"
    return [Peer("cache-dit F1B0, static mask", "all blocks but the first", "cache_dit", install, _attach)]


def _attach(denoiser: nn.Module, interval: int, evals: int) -> Callable[[], object]:
    import cache_dit

    config = cache_dit.DBCacheConfig(
        Fn_compute_blocks=1,
        Bn_compute_blocks=0,
        max_warmup_steps=0,
        num_inference_steps=evals,
        steps_computation_mask=[int(bit) for bit in every(interval, evals)],
        steps_computation_policy="static",
        enable_separate_cfg=False,
    )
    cache_dit.enable_cache(denoiser, cache_config=config)
    return lambda: cache_dit.refresh_context(denoiser, num_inference_steps=evals)
