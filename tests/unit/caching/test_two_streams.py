"""Spans of blocks with two streams: both are kept together, for prompts of any length."""

from collections.abc import Sequence

import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor, nn

from smoothbench.caching import Schedule, Site, cached, find_sites


def every_second(sites: Sequence[Site], evals: int = 4) -> Schedule:
    return Schedule.steps(sites, [e % 2 == 0 for e in range(evals)], {"method": "x"})


def small_sd3() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        denoiser = SD3Transformer2DModel(
            sample_size=8, patch_size=2, in_channels=4, num_layers=3, attention_head_dim=8, num_attention_heads=2,
            caption_projection_dim=16, joint_attention_dim=12, pooled_projection_dim=10, out_channels=4,
        ).eval()  # fmt: skip
    return denoiser


def test_two_forwards_may_have_texts_of_two_lengths() -> None:
    """Guidance in two forwards: the prompt and the negative prompt have as many tokens as they have."""
    denoiser = small_sd3()

    @torch.inference_mode()
    def run() -> Tensor:
        generator = torch.Generator().manual_seed(1)
        x, pooled = (torch.randn(2, *shape, generator=generator) for shape in ((4, 8, 8), (10,)))
        texts = [torch.randn(2, tokens, 12, generator=generator) for tokens in (7, 3)]
        for t in (900, 700, 500, 300):
            cond, uncond = (denoiser(x, text, pooled, torch.tensor([t, t])).sample for text in texts)
            x = x - 0.3 * (uncond + 2 * (cond - uncond))
        return x

    bare, span = run(), find_sites(denoiser, "span")
    with cached(denoiser, every_second(span, 4), calls_per_eval=2) as engine:
        x = run()
    assert engine.calls == {"blocks.0-2.span": 4} and (x - bare).abs().max() > 1e-4
    assert torch.equal(run(), bare)


def test_two_streams_are_kept_together() -> None:
    """A joint block has two streams, and its attention returns a tuple: both are kept, tensor by tensor."""
    denoiser = small_sd3()

    @torch.inference_mode()
    def run() -> Tensor:
        generator = torch.Generator().manual_seed(1)
        x, text = (torch.randn(2, *shape, generator=generator) for shape in ((4, 8, 8), (5, 12)))
        pooled = torch.randn(2, 10, generator=generator)
        for t in (900, 700, 500, 300):
            out = denoiser(x, text, pooled, torch.tensor([t, t]), return_dict=False)[0]
            x = x - 0.3 * out
        return x

    bare, span = run(), find_sites(denoiser, "span", [(0, 1)])
    for predictor in ("reuse", "taylor1"):
        with cached(denoiser, every_second(span, 4), predictor=predictor) as engine:
            x = run()
        assert engine.calls == {"blocks.0-1.span": 2} and (x - bare).abs().max() > 1e-4
    # two evaluations of two streams in float32
    assert engine.cache_bytes == 2 * (2 * 16 * 16 + 2 * 5 * 16) * 4
    assert torch.equal(run(), bare)
