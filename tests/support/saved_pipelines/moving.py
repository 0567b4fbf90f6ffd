"""Tiny pipelines of video and audio."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLHunyuanVideo,
    AutoencoderKLLTXVideo,
    AutoencoderKLMochi,
    AutoencoderKLWan,
    CogVideoXDDIMScheduler,
    CogVideoXPipeline,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoPipeline,
    LattePipeline,
    LTXImageToVideoPipeline,
    LTXPipeline,
    MochiPipeline,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanVACEPipeline,
)
from transformers import LlamaConfig, LlamaModel

from tests.support.saved_pipelines.ingredients import (
    PICTURE,
    TOKENS,
    VOCABULARY,
    WIDTH,
    Family,
    alive,
    clip,
    denoiser,
    image_vae,
    t5,
    tokenizer,
)
from tests.support.tiny_pipelines import tiny_stable_audio_pipeline
from tests.support.tiny_video_pipeline import LAYERS, WIDTHS

SIZE = {"height": 16, "width": 16}
LENGTH = {"max_sequence_length": TOKENS}


def wan(two: bool = False, kind: Any = WanPipeline) -> Any:
    vae: Any = AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    given = 16 if kind is WanPipeline else 36  # with the picture's latents, and a mask of its frame
    changes = {"in_channels": given, "out_channels": 16, "text_dim": WIDTH, "num_layers": 6}
    low = denoiser("WanTransformer3DModel", **changes) if two else None
    if low is not None:
        for weight in low.parameters():
            weight.mul_(0.9)
    return kind(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=vae.eval(),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        transformer=denoiser("WanTransformer3DModel", **changes),
        transformer_2=low,
        boundary_ratio=0.6 if two else None,
    )


def wan_vace() -> Any:
    vae: Any = AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    changes = {"in_channels": 16, "out_channels": 16, "text_dim": WIDTH, "vace_in_channels": 96}
    return WanVACEPipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        transformer=denoiser("WanVACETransformer3DModel", **changes),
    )


def ltx(kind: Any = LTXPipeline) -> Any:
    vae: Any = AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=WIDTHS,
        decoder_block_out_channels=WIDTHS,
        layers_per_block=LAYERS,
        decoder_layers_per_block=LAYERS,
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        patch_size=1,
    )
    return kind(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae.eval(),
        text_encoder=t5(),
        tokenizer=tokenizer(),
        transformer=denoiser(
            "LTXVideoTransformer3DModel", in_channels=8, out_channels=8, caption_channels=WIDTH
        ),
    )


def cogvideox() -> Any:
    vae: Any = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )
    return CogVideoXPipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=vae.eval(),
        transformer=denoiser("CogVideoXTransformer3DModel", text_embed_dim=WIDTH, max_text_seq_length=TOKENS),
        scheduler=CogVideoXDDIMScheduler(),
    )


def hunyuan_video() -> Any:
    vae: Any = AutoencoderKLHunyuanVideo(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        spatial_compression_ratio=8,
        temporal_compression_ratio=4,
        mid_block_add_attention=True,
    )
    llama = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    return HunyuanVideoPipeline(
        text_encoder=alive(LlamaModel(llama)),
        tokenizer=tokenizer(),
        transformer=denoiser(
            "HunyuanVideoTransformer3DModel", text_embed_dim=WIDTH, pooled_projection_dim=WIDTH
        ),
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=clip(),
        tokenizer_2=tokenizer(),
    )


def latte() -> Any:
    return LattePipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=image_vae(),
        transformer=denoiser("LatteTransformer3DModel", caption_channels=WIDTH, out_channels=8),
        scheduler=DDIMScheduler(),
    )


def mochi() -> Any:
    vae: Any = AutoencoderKLMochi(
        latent_channels=12,
        out_channels=3,
        encoder_block_out_channels=(32, 32, 32, 32),
        decoder_block_out_channels=(32, 32, 32, 32),
        layers_per_block=(1, 1, 1, 1, 1),
    )
    return MochiPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae.eval(),
        text_encoder=t5(),
        tokenizer=tokenizer(),
        transformer=denoiser(
            "MochiTransformer3DModel",
            num_layers=6,
            in_channels=12,
            text_embed_dim=WIDTH,
            max_sequence_length=TOKENS,
        ),
    )


MOVING: Mapping[str, Family] = MappingProxyType(
    {
        "Wan": Family(wan, {**SIZE, "num_frames": 5, **LENGTH}),
        "Wan2.2": Family(partial(wan, two=True), {**SIZE, "num_frames": 5, **LENGTH}),
        "LTX": Family(ltx, {"height": 32, "width": 32, "num_frames": 9, **LENGTH}),
        "Wan-I2V": Family(
            partial(wan, kind=WanImageToVideoPipeline), {**SIZE, "num_frames": 5, **LENGTH, "image": PICTURE}
        ),
        "LTX-I2V": Family(
            partial(ltx, kind=LTXImageToVideoPipeline),
            {"height": 32, "width": 32, "num_frames": 9, **LENGTH, "image": PICTURE},
        ),
        "CogVideoX": Family(cogvideox, {**SIZE, "num_frames": 5, **LENGTH}),
        "HunyuanVideo": Family(
            hunyuan_video,
            {
                **SIZE,
                "num_frames": 5,
                "max_sequence_length": TOKENS,
                "prompt_template": {"template": "{}", "crop_start": 0},
            },
        ),
        "Latte": Family(latte, {**SIZE, "video_length": 2, "clean_caption": False}),
        "Mochi": Family(mochi, {**SIZE, "num_frames": 7, **LENGTH}),
        "StableAudio": Family(tiny_stable_audio_pipeline),
    }
)
