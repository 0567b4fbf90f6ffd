"""Every site runs once in every forward that the engine sees; other libraries' caches and hooks beside ours."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import (
    FasterCacheConfig,
    FirstBlockCacheConfig,
    LTXVideoTransformer3DModel,
    PyramidAttentionBroadcastConfig,
)
from diffusers.hooks import apply_layerwise_casting
from torch import nn

from smoothbench.caching import Schedule, Site, cached, calibrate, find_sites
from tests.support.tiny_dit import TinyDiT, fora
from tests.support.tiny_video_pipeline import tiny_ltx_pipeline


class LeftOut(nn.Module):
    """A block that is skipped in some forwards, as skip-layer guidance does."""

    def __init__(self, block: nn.Module, forwards: set[int], times: int) -> None:
        super().__init__()
        self.block, self.forwards, self.times, self.seen = block, forwards, times, 0

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.seen += 1
        for _ in range(self.times if self.seen in self.forwards else 1):
            x = self.block(x, *args, **kwargs)
        return x


@pytest.mark.parametrize(("first", "said"), [(1, "forward 1"), (5, "forward 5")])
def test_a_site_that_does_not_run_is_named(tiny: TinyDiT, first: int, said: str) -> None:
    blocks = tiny.denoiser.transformer_blocks
    blocks[1] = LeftOut(blocks[1], {first}, times=0)
    match = rf"blocks\.1\.self_attn did not run in {said} of the DiTTransformer2DModel.*skip-layer guidance"
    with pytest.raises(ValueError, match=match), cached(tiny.denoiser, fora(tiny)):
        tiny.run()
    blocks[1].seen = 0
    with pytest.raises(ValueError, match=match):
        calibrate(tiny.denoiser, tiny.run)


def test_a_site_that_runs_twice_is_named(tiny: TinyDiT) -> None:
    blocks = tiny.denoiser.transformer_blocks
    blocks[1] = LeftOut(blocks[1], {2}, times=2)
    match = r"blocks\.1\.self_attn ran twice in forward 2 of the DiTTransformer2DModel"
    with pytest.raises(ValueError, match=match), cached(tiny.denoiser, fora(tiny)):
        tiny.run()
    blocks[1].seen = 0
    with pytest.raises(ValueError, match=match):
        calibrate(tiny.denoiser, tiny.run)


def test_after_a_forward_that_was_interrupted_the_next_run_is_clean(tiny: TinyDiT) -> None:
    with cached(tiny.denoiser, fora(tiny)):
        expected = tiny.run()
    stop = [True]

    def interrupt(*_: Any) -> None:
        if stop and len(seen) == 3:
            stop.clear()
            raise KeyboardInterrupt
        seen.append(1)

    seen: list[int] = []
    with tiny.denoiser.transformer_blocks[1].register_forward_pre_hook(interrupt):
        with cached(tiny.denoiser, fora(tiny)) as run:
            with pytest.raises(KeyboardInterrupt):
                tiny.run()
            assert torch.equal(tiny.run(), expected)
        assert run.forwards == 4 + tiny.evals
        stop.append(True)
        seen.clear()

        def twice() -> None:
            with pytest.raises(KeyboardInterrupt):
                tiny.run()
            tiny.run()

        assert len(calibrate(tiny.denoiser, twice).l1) == 2


CONFIGS: list[Callable[[], Any]] = [
    lambda: FirstBlockCacheConfig(threshold=0.1),
    lambda: PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2, current_timestep_callback=lambda: 500
    ),
    lambda: FasterCacheConfig(
        current_timestep_callback=lambda: 500,
        spatial_attention_block_identifiers=("transformer_blocks",),
        tensor_format="BFCHW",
    ),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_caches_of_diffusers_are_refused_by_name(config: Callable[[], Any]) -> None:
    model: LTXVideoTransformer3DModel = tiny_ltx_pipeline().transformer
    model.enable_cache(config())
    schedule_of = find_sites(model)
    for attempt in (
        lambda: cached(model, _every_second(schedule_of)).__enter__(),
        lambda: calibrate(model, _no),
    ):
        with pytest.raises(ValueError, match=r"is cached by diffusers' hook \w+ already.*disable_cache\(\)"):
            attempt()
    assert not any("smoothbench" in type(vars(m).get("forward")).__module__ for m in model.modules())


@pytest.mark.parametrize(("mark", "named"), [("_is_cached", "cache-dit"), ("enable_teacache", "TeaCache")])
def test_caches_that_replace_the_forward_are_refused_by_name(tiny: TinyDiT, mark: str, named: str) -> None:
    with pytest.raises(ValueError, match=f"DiTTransformer2DModel is cached by {named}"):
        setattr(tiny.denoiser, mark, True)
        with cached(tiny.denoiser, fora(tiny)):
            pytest.fail("the context was entered")
    setattr(tiny.denoiser, mark, False)
    with cached(tiny.denoiser, fora(tiny)):
        tiny.run()


def test_hooks_of_diffusers_that_cache_nothing_go_on_working(tiny: TinyDiT) -> None:
    with cached(tiny.denoiser, fora(tiny)):
        expected = tiny.run()
    apply_layerwise_casting(tiny.denoiser, storage_dtype=torch.float16, compute_dtype=torch.float32)
    with cached(tiny.denoiser, fora(tiny)) as run:
        torch.testing.assert_close(tiny.run(), expected, rtol=0.02, atol=0.02)
    assert run.skipped_share > 0.4


def _every_second(sites: tuple[Site, ...]) -> Schedule:
    return Schedule.steps(sites, [e % 2 == 0 for e in range(4)])


def _no() -> None: ...
