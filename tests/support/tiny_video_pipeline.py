"""A real image-to-video pipeline with tiny random weights: its timestep is one per token, its first frame given."""

from typing import Any

import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXImageToVideoPipeline,
    LTXVideoTransformer3DModel,
)
from torch import Tensor

WIDTHS, LAYERS = (8, 8, 8, 8), (1, 1, 1, 1, 1)


def tiny_ltx_pipeline() -> LTXImageToVideoPipeline:
    """Two blocks of width 16 over 192 tokens; prompts are given as embeddings."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=2,
            attention_head_dim=8,
            cross_attention_dim=16,
            num_layers=2,
            caption_channels=16,
        )
        autoencoder: Any = AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=WIDTHS,
            decoder_block_out_channels=WIDTHS,
            layers_per_block=LAYERS,
            decoder_layers_per_block=LAYERS,
            spatio_temporal_scaling=(True, True, False, False),
            decoder_spatio_temporal_scaling=(True, True, False, False),
            patch_size=1,
        )
    pipe = LTXImageToVideoPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder,
        text_encoder=None,
        tokenizer=None,
        transformer=transformer,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def video_latents(pipe: Any, steps: int, **more: Any) -> Tensor:
    """Latents of a clip that begins with a fixed image, with guidance."""
    generator = torch.Generator().manual_seed(3)
    words, mask = torch.randn(1, 8, 16, generator=generator), torch.ones(1, 8).bool()
    latents: Tensor = pipe(
        image=torch.rand(1, 3, 32, 32, generator=generator),
        prompt_embeds=words,
        prompt_attention_mask=mask,
        negative_prompt_embeds=torch.zeros_like(words),
        negative_prompt_attention_mask=mask,
        height=32,
        width=32,
        num_frames=9,
        num_inference_steps=steps,
        output_type="latent",
        generator=generator,
        **more,
    )[0]
    return latents
