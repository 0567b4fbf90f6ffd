"""Tiny image transformers with joint attention over two streams."""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from tests.support.tiny_denoisers.ingredients import Flags, Noise, Ones, Time, Tiny, Zeros

WIDTH = {"attention_head_dim": 16, "num_attention_heads": 2}
TOKENS = Noise(2, 16, 4)
TEXT = Noise(2, 6, 32)
LATENT = Noise(2, 4, 8, 8)
FRACTION = Time(scale=1.0)
COGVIEW = {
    "patch_size": 2,
    "in_channels": 4,
    "num_layers": 3,
    "attention_head_dim": 8,
    "num_attention_heads": 2,
    "text_embed_dim": 32,
    "time_embed_dim": 8,
    "condition_dim": 4,
}
SIZES = {"original_size": Ones(2, 2), "target_size": Ones(2, 2), "crop_coords": Ones(2, 2)}
JOY = {
    "patch_size": [1, 2, 2],
    "in_channels": 4,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "text_dim": 32,
    "num_layers": 3,
    "rope_dim_list": [4, 6, 6],
    "theta": 256,
}

JOINT_DENOISERS: Mapping[str, Tiny] = MappingProxyType(
    {
        "SD3Transformer2DModel": Tiny(
            {
                **WIDTH,
                "sample_size": 8,
                "patch_size": 2,
                "in_channels": 4,
                "num_layers": 4,
                "caption_projection_dim": 32,
                "joint_attention_dim": 32,
                "pooled_projection_dim": 16,
                "out_channels": 4,
                "pos_embed_max_size": 8,
                "dual_attention_layers": (1,),
                "qk_norm": "rms_norm",
            },
            {
                "hidden_states": LATENT,
                "encoder_hidden_states": TEXT,
                "pooled_projections": Noise(2, 16),
                "timestep": Time(),
            },
        ),
        "AuraFlowTransformer2DModel": Tiny(
            {
                **WIDTH,
                "sample_size": 8,
                "patch_size": 2,
                "in_channels": 4,
                "num_mmdit_layers": 3,
                "num_single_dit_layers": 3,
                "caption_projection_dim": 32,
                "joint_attention_dim": 32,
                "out_channels": 4,
                "pos_embed_max_size": 64,
            },
            {"hidden_states": LATENT, "encoder_hidden_states": TEXT, "timestep": FRACTION},
        ),
        "CogView3PlusTransformer2DModel": Tiny(
            {**COGVIEW, "pos_embed_max_size": 8, "sample_size": 8},
            {"hidden_states": LATENT, "encoder_hidden_states": TEXT, "timestep": Time(), **SIZES},
        ),
        "CogView4Transformer2DModel": Tiny(
            {**COGVIEW, "num_attention_heads": 4},
            {"hidden_states": LATENT, "encoder_hidden_states": TEXT, "timestep": Time(), **SIZES},
        ),
        "GlmImageTransformer2DModel": Tiny(
            {**COGVIEW, "out_channels": 4, "prior_vq_quantizer_codebook_size": 64},
            {
                "hidden_states": LATENT,
                "encoder_hidden_states": TEXT,
                "prior_token_id": Zeros(2, 16),
                "prior_token_drop": torch.zeros(2, dtype=torch.bool),
                "timestep": Time(),
                "target_size": Ones(2, 2),
                "crop_coords": Ones(2, 2),
            },
        ),
        "QwenImageTransformer2DModel": Tiny(
            {
                **WIDTH,
                "patch_size": 2,
                "in_channels": 4,
                "out_channels": 1,
                "num_layers": 3,
                "joint_attention_dim": 32,
                "axes_dims_rope": (8, 4, 4),
            },
            {
                "hidden_states": TOKENS,
                "encoder_hidden_states": TEXT,
                "encoder_hidden_states_mask": Flags(2, 6),
                "timestep": FRACTION,
                "img_shapes": [(1, 4, 4)] * 2,
            },
        ),
        "HiDreamImageTransformer2DModel": Tiny(
            {
                "patch_size": 2,
                "in_channels": 4,
                "out_channels": 4,
                "num_layers": 3,
                "num_single_layers": 3,
                "attention_head_dim": 8,
                "num_attention_heads": 4,
                "caption_channels": [8, 4],
                "text_emb_dim": 8,
                "num_routed_experts": 2,
                "num_activated_experts": 2,
                "axes_dims_rope": (4, 2, 2),
                "max_resolution": (8, 8),
                "llama_layers": (0, 1, 0, 1, 0, 1),
                "force_inference_output": True,
            },
            {
                "hidden_states": LATENT,
                "timesteps": Time(),
                "encoder_hidden_states_t5": Noise(2, 6, 8),
                "encoder_hidden_states_llama3": Noise(2, 2, 6, 4),
                "pooled_embeds": Noise(2, 8),
            },
        ),
        "NucleusMoEImageTransformer2DModel": Tiny(
            {
                **WIDTH,
                "patch_size": 2,
                "in_channels": 4,
                "out_channels": 1,
                "num_layers": 3,
                "joint_attention_dim": 32,
                "axes_dims_rope": (8, 4, 4),
                "moe_enabled": False,
                "capacity_factors": [8.0] * 3,
            },
            {
                "hidden_states": TOKENS,
                "encoder_hidden_states": TEXT,
                "encoder_hidden_states_mask": Flags(2, 6),
                "timestep": FRACTION,
                "img_shapes": [(1, 4, 4)] * 2,
            },
        ),
        "JoyImageEditTransformer3DModel": Tiny(
            JOY,
            {"hidden_states": Noise(2, 4, 1, 4, 4), "encoder_hidden_states": TEXT, "timestep": Time()},
        ),
        "JoyImageEditPlusTransformer3DModel": Tiny(
            JOY,
            {
                "hidden_states": Noise(2, 2, 4, 1, 2, 2),
                "encoder_hidden_states": TEXT,
                "timestep": Time(),
                "shape_list": [[(1, 1, 1), (1, 1, 1)]] * 2,
            },
        ),
    }
)
