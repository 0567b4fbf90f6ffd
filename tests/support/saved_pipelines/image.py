"""Tiny pipelines of images."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from diffusers import (
    AuraFlowPipeline,
    AutoencoderDC,
    ChromaPipeline,
    CogView4Pipeline,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    HunyuanDiTPipeline,
    Lumina2Pipeline,
    SanaPipeline,
    StableDiffusion3Pipeline,
    ZImagePipeline,
)
from transformers import BertConfig, BertModel

from tests.support.saved_pipelines.ingredients import (
    TOKENS,
    VOCABULARY,
    WIDTH,
    Family,
    alive,
    clip,
    denoiser,
    image_vae,
    qwen,
    t5,
    tokenizer,
)
from tests.support.saved_pipelines.qwen import qwen_image
from tests.support.tiny_pipelines import tiny_dit_pipeline, tiny_pixart_pipeline

SIZE = {"height": 16, "width": 16}
LENGTH = {"max_sequence_length": TOKENS}


def flow() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(shift=2.0)


def flux() -> Any:
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=image_vae(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip(),
        tokenizer=tokenizer(),
        text_encoder_2=t5(),
        tokenizer_2=tokenizer(),
        transformer=denoiser("FluxTransformer2DModel", in_channels=16),
    )


def chroma() -> Any:
    return ChromaPipeline(
        scheduler=flow(),
        vae=image_vae(shift_factor=0.1),
        text_encoder=t5(),
        tokenizer=tokenizer(),
        transformer=denoiser("ChromaTransformer2DModel", in_channels=16),
    )


def sd3() -> Any:
    return StableDiffusion3Pipeline(
        transformer=denoiser(
            "SD3Transformer2DModel", joint_attention_dim=4 * WIDTH, pooled_projection_dim=2 * WIDTH
        ),
        scheduler=flow(),
        vae=image_vae(shift_factor=0.1),
        text_encoder=clip(projected=True),
        tokenizer=tokenizer(),
        text_encoder_2=clip(projected=True),
        tokenizer_2=tokenizer(),
        text_encoder_3=None,
        tokenizer_3=None,
    )


def sana() -> Any:
    vae: Any = AutoencoderDC(
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "ResBlock"),
        decoder_block_types=("ResBlock", "ResBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), ()),
        decoder_qkv_multiscales=((), ()),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
    return SanaPipeline(
        tokenizer=tokenizer(),
        text_encoder=qwen(),
        vae=vae,
        transformer=denoiser("SanaTransformer2DModel", caption_channels=WIDTH),
        scheduler=DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction"),
    )


def aura_flow() -> Any:
    return AuraFlowPipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=image_vae(),
        transformer=denoiser("AuraFlowTransformer2DModel"),
        scheduler=flow(),
    )


def lumina2() -> Any:
    return Lumina2Pipeline(
        transformer=denoiser("Lumina2Transformer2DModel", cap_feat_dim=WIDTH, num_layers=8),
        scheduler=flow(),
        vae=image_vae(shift_factor=0.1),
        text_encoder=qwen(),
        tokenizer=tokenizer(),
    )


def z_image() -> Any:
    return ZImagePipeline(
        scheduler=flow(),
        vae=image_vae(shift_factor=0.1),
        text_encoder=qwen(),
        tokenizer=tokenizer(chat_template="{{ messages[0]['content'] }}"),
        transformer=denoiser("ZImageTransformer2DModel", cap_feat_dim=WIDTH, n_layers=8),
    )


def cogview4() -> Any:
    return CogView4Pipeline(
        tokenizer=tokenizer(),
        text_encoder=qwen(),
        vae=image_vae(),
        transformer=denoiser("CogView4Transformer2DModel", text_embed_dim=WIDTH, out_channels=4),
        scheduler=flow(),
    )


def hunyuan_dit() -> Any:
    bert = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    return HunyuanDiTPipeline(
        vae=image_vae(),
        text_encoder=alive(BertModel(bert)),
        tokenizer=tokenizer(),
        transformer=denoiser(
            "HunyuanDiT2DModel",
            num_layers=12,
            cross_attention_dim=WIDTH,
            cross_attention_dim_t5=WIDTH,
            text_len=77,
            text_len_t5=256,
        ),
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        text_encoder_2=t5(),
        tokenizer_2=tokenizer(),
    )


IMAGES: Mapping[str, Family] = MappingProxyType(
    {
        "DiT": Family(tiny_dit_pipeline),
        "PixArt": Family(
            tiny_pixart_pipeline, {"use_resolution_binning": False, "clean_caption": False, **LENGTH}
        ),
        "FLUX": Family(flux, {**SIZE, **LENGTH}),
        "Chroma": Family(chroma, {**SIZE, **LENGTH}),
        "SD3": Family(sd3, SIZE),
        "Qwen-Image": Family(qwen_image, {**SIZE, "true_cfg_scale": 2.0, "negative_prompt": "grey"}),
        "Sana": Family(
            sana,
            {
                "height": 32,
                "width": 32,
                **LENGTH,
                "use_resolution_binning": False,
                "clean_caption": False,
                "complex_human_instruction": None,
            },
        ),
        "AuraFlow": Family(aura_flow, {**SIZE, **LENGTH}),
        "Lumina2": Family(lumina2, {"height": 64, "width": 64, **LENGTH}),
        "Z-Image": Family(z_image, {**SIZE, **LENGTH}),
        "CogView4": Family(cogview4, {**SIZE, **LENGTH}),
        "HunyuanDiT": Family(hunyuan_dit, {**SIZE, "use_resolution_binning": False}),
    }
)
