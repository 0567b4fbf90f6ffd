"""Tiny video transformers with joint attention and, most of them, single-stream blocks after it."""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from tests.support.tiny_denoisers.ingredients import Noise, Ones, Time, Tiny

WIDTH = {"num_layers": 3, "attention_head_dim": 8, "num_attention_heads": 2}
CLIP = Noise(2, 4, 2, 8, 8)
TEXT = Noise(2, 6, 16)
STEP = {"timestep": Time(), "encoder_hidden_states": TEXT}
HUNYUAN = {
    "in_channels": 4,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 10,
    "num_layers": 3,
    "num_single_layers": 3,
    "num_refiner_layers": 1,
    "patch_size": 2,
    "patch_size_t": 1,
    "text_embed_dim": 16,
    "pooled_projection_dim": 8,
    "rope_axes_dim": (2, 4, 4),
}
HUNYUAN_ARGUMENTS = {
    "hidden_states": CLIP,
    "timestep": Time(),
    "encoder_hidden_states": TEXT,
    "encoder_attention_mask": Ones(2, 6),
    "pooled_projections": Noise(2, 8),
    "guidance": Ones(2),
}

HUNYUAN_VIDEO_DENOISERS: Mapping[str, Tiny] = MappingProxyType(
    {
        "HunyuanVideoTransformer3DModel": Tiny({**HUNYUAN, "guidance_embeds": True}, HUNYUAN_ARGUMENTS),
        "HunyuanVideoFramepackTransformer3DModel": Tiny(
            {
                **HUNYUAN,
                "guidance_embeds": True,
                "has_image_proj": True,
                "image_proj_dim": 16,
                "has_clean_x_embedder": True,
            },
            {
                **HUNYUAN_ARGUMENTS,
                "image_embeds": TEXT,
                "indices_latents": Ones(2),
                "latents_clean": CLIP,
                "indices_latents_clean": Ones(2),
                "latents_history_2x": CLIP,
                "indices_latents_history_2x": Ones(2),
                "latents_history_4x": Noise(2, 4, 8, 8, 8),
                "indices_latents_history_4x": Ones(8),
            },
        ),
        "HunyuanVideo15Transformer3DModel": Tiny(
            {
                **WIDTH,
                "in_channels": 4,
                "out_channels": 4,
                "num_refiner_layers": 1,
                "mlp_ratio": 2.0,
                "text_embed_dim": 16,
                "text_embed_2_dim": 8,
                "image_embed_dim": 12,
                "rope_axes_dim": (2, 2, 4),
                "target_size": 16,
            },
            {
                "hidden_states": Noise(2, 4, 1, 4, 4),
                **STEP,
                "encoder_attention_mask": Ones(2, 6),
                "encoder_hidden_states_2": Noise(2, 4, 8),
                "encoder_attention_mask_2": Ones(2, 4),
                "image_embeds": torch.zeros(2, 3, 12),
            },
        ),
        "MotifVideoTransformer3DModel": Tiny(
            {
                "in_channels": 9,
                "out_channels": 4,
                "num_attention_heads": 2,
                "attention_head_dim": 12,
                "num_layers": 2,
                "num_single_layers": 3,
                "num_decoder_layers": 2,
                "text_embed_dim": 16,
                "image_embed_dim": 4,
                "rope_axes_dim": (4, 4, 4),
            },
            {"hidden_states": Noise(2, 9, 2, 8, 8), **STEP},
        ),
    }
)
