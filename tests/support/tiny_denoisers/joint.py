"""Tiny image transformers with joint attention over two streams, and those with single-stream blocks after them."""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from tests.support.tiny_denoisers.ingredients import Flags, Noise, Ones, Time, Tiny, Zeros

WIDTH = {"attention_head_dim": 16, "num_attention_heads": 2}
BOTH = {**WIDTH, "in_channels": 4, "num_layers": 3, "num_single_layers": 3}
TOKENS = Noise(2, 16, 4)
TEXT = Noise(2, 6, 32)
LATENT = Noise(2, 4, 8, 8)
FRACTION = Time(scale=1.0)
FLUX = {**BOTH, "patch_size": 1, "joint_attention_dim": 32, "axes_dims_rope": (4, 4, 8)}
FLUX_ARGUMENTS = {
    "hidden_states": TOKENS,
    "encoder_hidden_states": TEXT,
    "timestep": FRACTION,
    "img_ids": Noise(16, 3),
    "txt_ids": Noise(6, 3),
}
PLACES = {"img_ids": torch.randn(16, 4), "txt_ids": torch.randn(6, 4)}
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

JOINT: Mapping[str, Tiny] = MappingProxyType(
    {
        "FluxTransformer2DModel": Tiny(
            {**FLUX, "pooled_projection_dim": 32}, {**FLUX_ARGUMENTS, "pooled_projections": Noise(2, 32)}
        ),
        "Flux2Transformer2DModel": Tiny(
            {**FLUX, "axes_dims_rope": (4, 4, 4, 4)},
            {
                **FLUX_ARGUMENTS,
                "img_ids": Noise(2, 16, 4),
                "txt_ids": Noise(2, 6, 4),
                "guidance": Ones(2),
            },
        ),
        "Flux3Transformer2DModel": Tiny(
            {**BOTH, "joint_attention_dim": 32, "timestep_channels": 16, "axes_dims_rope": (4, 4, 4, 4)},
            {**FLUX_ARGUMENTS, "img_ids": Noise(16, 4), "txt_ids": Noise(6, 4)},
        ),
        "ChromaTransformer2DModel": Tiny(
            {
                **FLUX,
                "approximator_num_channels": 8,
                "approximator_hidden_dim": 16,
                "approximator_layers": 1,
            },
            FLUX_ARGUMENTS,
        ),
        "LongCatImageTransformer2DModel": Tiny(
            {**FLUX, "pooled_projection_dim": 32}, {**FLUX_ARGUMENTS, "guidance": Ones(2)}
        ),
        "OvisImageTransformer2DModel": Tiny(
            {**FLUX, "out_channels": 4},
            FLUX_ARGUMENTS,
        ),
        "BriaTransformer2DModel": Tiny(
            {**FLUX, "pooled_projection_dim": None},
            FLUX_ARGUMENTS,
        ),
        "BriaFiboTransformer2DModel": Tiny(
            {**FLUX, "joint_attention_dim": 32, "text_encoder_dim": 16, "pooled_projection_dim": None},
            {**FLUX_ARGUMENTS, "text_encoder_layers": [Noise(2, 6, 16)] * 6},
        ),
        "BriaFibo2Transformer2DModel": Tiny(
            {
                "in_channels": 4,
                "dim": 32,
                "n_layers": 3,
                "n_refiner_layers": 1,
                "n_heads": 2,
                "cap_feat_dim": 16,
                "injection_layer_ids": (1,),
                "perceiver_num_layers": 1,
                "min_num_gist_tokens": 2,
                "max_num_gist_tokens": 4,
                "gist_step": 2,
                "gist_min_text_len": 4,
                "gist_max_text_len": 8,
                "axes_dims": (8, 4, 4),
                "axes_lens": (64, 32, 32),
            },
            {
                "hidden_states": LATENT,
                "timestep": FRACTION,
                "encoder_hidden_states": Noise(2, 2, 6, 16),
            },
        ),
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
        "QwenImage21Transformer2DModel": Tiny(
            {
                **WIDTH,
                "in_channels": 4,
                "out_channels": 4,
                "num_layers": 3,
                "context_in_dim": 32,
                "axes_dims_rope": (8, 4, 4),
            },
            {
                "hidden_states": TOKENS,
                "encoder_hidden_states": TEXT,
                "timestep": FRACTION,
                "img_shapes": [[(1, 4, 4)]] * 2,
                "img_mask": torch.tensor([[False] * 6 + [True] * 4] * 2),
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
        "HunyuanImageTransformer2DModel": Tiny(
            {
                **BOTH,
                "out_channels": 4,
                "num_refiner_layers": 1,
                "text_embed_dim": 32,
                "rope_axes_dim": (8, 8),
            },
            {
                "hidden_states": LATENT,
                "timestep": Time(),
                "encoder_hidden_states": TEXT,
                "encoder_attention_mask": Flags(2, 6),
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
        "Ideogram4Transformer2DModel": Tiny(
            {
                "in_channels": 4,
                "num_layers": 3,
                "attention_head_dim": 8,
                "num_attention_heads": 4,
                "intermediate_size": 32,
                "adaln_dim": 16,
                "llm_features_dim": 32,
                "mrope_section": (2, 1, 1),
            },
            {
                "hidden_states": Noise(2, 8, 4),
                "encoder_hidden_states": Noise(2, 8, 32),
                "timestep": Time(scale=1.0, rises=True),
                "position_ids": Zeros(2, 8, 3),
                "segment_ids": torch.ones(2, 8, dtype=torch.long),
                "indicator": torch.tensor([[3] * 4 + [2] * 4] * 2),
            },
        ),
        "Krea2Transformer2DModel": Tiny(
            {
                "in_channels": 4,
                "num_layers": 3,
                "attention_head_dim": 8,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "intermediate_size": 32,
                "timestep_embed_dim": 8,
                "text_hidden_dim": 16,
                "num_text_layers": 3,
                "text_num_attention_heads": 2,
                "text_num_key_value_heads": 1,
                "text_intermediate_size": 16,
                "num_layerwise_text_blocks": 1,
                "num_refiner_text_blocks": 1,
                "axes_dims_rope": (4, 2, 2),
            },
            {
                "hidden_states": Noise(2, 4, 4),
                "encoder_hidden_states": Noise(2, 4, 3, 16),
                "timestep": FRACTION,
                "position_ids": Zeros(8, 3),
                "encoder_attention_mask": Flags(2, 4),
            },
        ),
    }
)
