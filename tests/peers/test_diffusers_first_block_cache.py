"""diffusers' FirstBlockCache computes the same evaluations as FBCache, and gives the same samples within rounding."""

import pytest
from diffusers import FirstBlockCacheConfig

from baselines.fbcache import FBCache
from smoothbench.caching import cached
from tests.support.witness_loop import EVALS, WitnessLoop, close

LAST = {"FluxTransformer2DModel": "single_transformer_blocks.2", "WanTransformer3DModel": "blocks.2"}


@pytest.mark.parametrize("name", LAST)
@pytest.mark.parametrize(("forwards", "threshold"), [(1, 0.45), (1, 0.55), (2, 0.5)])
def test_the_same_evaluations_are_computed(name: str, forwards: int, threshold: float) -> None:
    loop = WitnessLoop(name, forwards)
    bare, denoiser = loop.run(), loop.denoiser
    denoiser.enable_cache(FirstBlockCacheConfig(threshold=threshold))
    with loop.computed(LAST[name]) as theirs:
        expected = loop.run(denoiser.cache_context)
    denoiser.disable_cache()
    with (
        cached(denoiser, FBCache(threshold), evals=EVALS, calls_per_eval=forwards),
        loop.computed(LAST[name]) as ours,
    ):
        x = loop.run()
    assert ours == theirs and forwards < len(ours) < EVALS * forwards
    assert close(x, expected) and not close(x, bare, 1e-3)


def test_theirs_goes_on_with_what_the_last_run_left() -> None:
    """Nothing resets it but a pipeline's end: a second run of its denoiser reuses what the first one computed."""
    loop = WitnessLoop("WanTransformer3DModel")
    loop.denoiser.enable_cache(FirstBlockCacheConfig(threshold=100.0))
    with loop.computed("blocks.2") as theirs:
        expected = [loop.run(loop.denoiser.cache_context) for _ in range(2)]
    loop.denoiser.disable_cache()
    with cached(loop.denoiser, FBCache(100.0), evals=EVALS), loop.computed("blocks.2") as ours:
        found = [loop.run() for _ in range(2)]
    assert theirs == [0] and ours == [0, 0]
    assert all(close(x, expected[0]) for x in found)
