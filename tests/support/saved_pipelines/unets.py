"""Tiny pipelines of images whose denoiser is a U-Net."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from diffusers import (
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)

from tests.support.saved_pipelines.ingredients import WIDTH, Family, clip, denoiser, image_vae, tokenizer

SIZE = {"height": 16, "width": 16}


def stable_diffusion() -> Any:
    return StableDiffusionPipeline(
        vae=image_vae(),
        text_encoder=clip(),
        tokenizer=tokenizer(),
        unet=denoiser("UNet2DConditionModel", cross_attention_dim=WIDTH),
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl() -> Any:
    more = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
    return StableDiffusionXLPipeline(
        vae=image_vae(),
        text_encoder=clip(),
        text_encoder_2=clip(projected=True),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=denoiser(
            "UNet2DConditionModel",
            cross_attention_dim=2 * WIDTH,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
            **more,
        ),
        scheduler=EulerDiscreteScheduler(),
    )


UNETS: Mapping[str, Family] = MappingProxyType(
    {
        "StableDiffusion": Family(stable_diffusion, SIZE),
        "SDXL": Family(stable_diffusion_xl, SIZE),
    }
)
