"""diffusers' Pyramid Attention Broadcast computes the same attentions as PAB, and gives the same samples."""

from typing import Any

import pytest
from diffusers import PyramidAttentionBroadcastConfig

from baselines.pab import PAB
from smoothbench.caching import cached
from tests.support.witness_loop import WitnessLoop, close, evaluations

PATHS = {"blocks.1.self_attn": "blocks.1.attn1", "blocks.1.cross_attn": "blocks.1.attn2"}


def configured(loop: WitnessLoop, spatial: int, cross: int, low: float, high: float) -> Any:
    trajectory = loop.trajectory()
    return PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=spatial,
        cross_attention_block_skip_range=cross,
        spatial_attention_timestep_skip_range=(low, high),
        cross_attention_timestep_skip_range=(low, high),
        spatial_attention_block_identifiers=("blocks",),
        cross_attention_block_identifiers=("blocks",),
        current_timestep_callback=lambda: trajectory.coordinates[loop.e],
    )


@pytest.mark.parametrize(("spatial", "cross", "low", "high"), [(2, 3, 100, 800), (3, 5, 0, 1001)])
def test_the_same_attentions_are_computed(spatial: int, cross: int, low: float, high: float) -> None:
    loop = WitnessLoop("WanTransformer3DModel")
    bare, denoiser = loop.run(), loop.denoiser
    denoiser.enable_cache(configured(loop, spatial, cross, low, high))
    with (
        loop.computed(PATHS["blocks.1.self_attn"]) as own,
        loop.computed(PATHS["blocks.1.cross_attn"]) as to_text,
    ):
        expected = loop.run(denoiser.cache_context)
    denoiser.disable_cache()
    schedule = PAB(spatial=spatial, cross=cross, low=low, high=high).plan(loop.trajectory())
    with cached(denoiser, schedule) as run:
        x = loop.run()
    for name, theirs in zip(PATHS, (own, to_text), strict=True):
        assert evaluations(run.realised, list(run.calls).index(name)) == theirs
    assert close(x, expected) and not close(x, bare, 1e-3)


def test_its_counter_runs_on_into_the_next_run() -> None:
    """A window of 5 begins at evaluations 0, 5 and 10 of the first run, and at 3 and 8 of the second."""
    loop = WitnessLoop("WanTransformer3DModel")
    loop.denoiser.enable_cache(configured(loop, 5, 5, -1, 1001))
    with loop.computed("blocks.1.attn1") as computed:
        for _ in range(2):
            loop.run(loop.denoiser.cache_context)
    loop.denoiser.disable_cache()
    assert computed == [0, 5, 10, 3, 8]
