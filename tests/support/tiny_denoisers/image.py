"""Tiny image transformers whose blocks have a single stream, cross-attention or label conditions."""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from tests.support.tiny_denoisers.ingredients import Flags, Noise, Ones, Time, Tiny, Zeros

SMALL = {"num_layers": 3, "attention_head_dim": 8, "num_attention_heads": 2}
LATENT = Noise(2, 4, 8, 8)
TEXT = Noise(2, 6, 16)

IMAGE: Mapping[str, Tiny] = MappingProxyType(
    {
        "DiTTransformer2DModel": Tiny(
            {**SMALL, "in_channels": 4, "sample_size": 8, "num_embeds_ada_norm": 10},
            {"hidden_states": LATENT, "timestep": Time(), "class_labels": torch.tensor([1, 3])},
        ),
        "Transformer2DModel": Tiny(
            {
                **SMALL,
                "in_channels": 4,
                "out_channels": 4,
                "sample_size": 8,
                "patch_size": 2,
                "norm_type": "ada_norm_zero",
                "num_embeds_ada_norm": 10,
            },
            {"hidden_states": LATENT, "timestep": Time(), "class_labels": torch.tensor([1, 3])},
        ),
        "PixArtTransformer2DModel": Tiny(
            {**SMALL, "sample_size": 8, "cross_attention_dim": 16, "caption_channels": 16},
            {
                "hidden_states": LATENT,
                "encoder_hidden_states": TEXT,
                "timestep": Time(),
                "added_cond_kwargs": {"aspect_ratio": None, "resolution": None},
            },
        ),
        "SanaTransformer2DModel": Tiny(
            {
                **SMALL,
                "in_channels": 4,
                "out_channels": 4,
                "num_cross_attention_heads": 2,
                "cross_attention_head_dim": 8,
                "cross_attention_dim": 16,
                "caption_channels": 16,
                "sample_size": 8,
            },
            {"hidden_states": LATENT, "encoder_hidden_states": TEXT, "timestep": Time()},
        ),
        "HunyuanDiT2DModel": Tiny(
            {
                **SMALL,
                "num_layers": 4,
                "sample_size": 8,
                "patch_size": 2,
                "in_channels": 4,
                "cross_attention_dim": 16,
                "cross_attention_dim_t5": 16,
                "pooled_projection_dim": 4,
                "hidden_size": 16,
                "text_len": 4,
                "text_len_t5": 4,
                "activation_fn": "gelu-approximate",
            },
            {
                "hidden_states": LATENT,
                "timestep": Time(),
                "encoder_hidden_states": Noise(2, 4, 16),
                "text_embedding_mask": Ones(2, 4),
                "encoder_hidden_states_t5": Noise(2, 4, 16),
                "text_embedding_mask_t5": Ones(2, 4),
                "image_meta_size": Ones(2, 6),
                "style": Zeros(2),
                "image_rotary_emb": [Ones(16, 8), Noise(16, 8)],
            },
        ),
        "PriorTransformer": Tiny(
            {**SMALL, "embedding_dim": 8, "num_embeddings": 7, "additional_embeddings": 4},
            {
                "hidden_states": Noise(2, 8),
                "timestep": Time(),
                "proj_embedding": Noise(2, 8),
                "encoder_hidden_states": Noise(2, 7, 8),
            },
        ),
        "LuminaNextDiT2DModel": Tiny(
            {
                "sample_size": 8,
                "hidden_size": 24,
                "num_layers": 3,
                "num_attention_heads": 3,
                "num_kv_heads": 1,
                "multiple_of": 16,
                "learn_sigma": False,
                "cross_attention_dim": 16,
            },
            {
                "hidden_states": LATENT,
                "timestep": Time(scale=1.0, rises=True),
                "encoder_hidden_states": TEXT,
                "encoder_mask": Ones(2, 6),
                "image_rotary_emb": Noise(384, 384, 4),
                "cross_attention_kwargs": {},
            },
        ),
        "Lumina2Transformer2DModel": Tiny(
            {
                "sample_size": 8,
                "in_channels": 4,
                "hidden_size": 24,
                "num_layers": 3,
                "num_refiner_layers": 1,
                "num_attention_heads": 3,
                "num_kv_heads": 1,
                "multiple_of": 2,
                "axes_dim_rope": (4, 2, 2),
                "axes_lens": (32, 32, 32),
                "cap_feat_dim": 16,
            },
            {
                "hidden_states": LATENT,
                "timestep": Time(scale=1.0, rises=True),
                "encoder_hidden_states": TEXT,
                "encoder_attention_mask": Flags(2, 6),
            },
        ),
        "ZImageTransformer2DModel": Tiny(
            {
                "all_patch_size": (2,),
                "all_f_patch_size": (1,),
                "in_channels": 4,
                "dim": 16,
                "n_layers": 3,
                "n_refiner_layers": 1,
                "n_heads": 1,
                "n_kv_heads": 1,
                "cap_feat_dim": 16,
                "axes_dims": [8, 4, 4],
                "axes_lens": [64, 32, 32],
            },
            {
                "x": [Noise(4, 1, 8, 8), Noise(4, 1, 8, 8)],
                "t": Time(scale=1.0, rises=True),
                "cap_feats": [Noise(6, 16), Noise(6, 16)],
            },
        ),
        "OmniGenTransformer2DModel": Tiny(
            {
                "hidden_size": 16,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "intermediate_size": 32,
                "num_layers": 3,
                "pad_token_id": 0,
                "vocab_size": 20,
                "in_channels": 4,
                "time_step_dim": 4,
                "rope_scaling": {"long_factor": [1, 2, 3, 4], "short_factor": [1, 2, 3, 4]},
            },
            {
                "hidden_states": LATENT,
                "timestep": Time(scale=1.0, rises=True),
                "input_ids": Zeros(2, 5),
                "input_img_latents": [],
                "input_image_sizes": {},
                "attention_mask": Ones(2, 22, 22),
                "position_ids": torch.arange(22).repeat(2, 1),
            },
        ),
        "PRXTransformer2DModel": Tiny(
            {
                "in_channels": 4,
                "context_in_dim": 16,
                "hidden_size": 16,
                "num_heads": 2,
                "depth": 3,
                "axes_dim": [4, 4],
            },
            {"hidden_states": LATENT, "timestep": Time(scale=1.0), "encoder_hidden_states": TEXT},
        ),
        "ErnieImageTransformer2DModel": Tiny(
            {
                "hidden_size": 16,
                "num_attention_heads": 1,
                "num_layers": 3,
                "ffn_hidden_size": 32,
                "in_channels": 4,
                "out_channels": 4,
                "patch_size": 1,
                "text_in_dim": 16,
                "rope_axes_dim": (8, 4, 4),
            },
            {
                "hidden_states": Noise(2, 4, 4, 4),
                "timestep": Time(),
                "text_bth": TEXT,
                "text_lens": torch.tensor([6, 6]),
            },
        ),
        "UVit2DModel": Tiny(
            {
                "hidden_size": 16,
                "cond_embed_dim": 16,
                "encoder_hidden_size": 16,
                "num_hidden_layers": 3,
                "num_attention_heads": 2,
                "intermediate_size": 32,
                "block_out_channels": 16,
                "in_channels": 16,
                "vocab_size": 20,
                "codebook_size": 18,
                "micro_cond_encode_dim": 4,
                "micro_cond_embed_dim": 20,
                "sample_size": 8,
                "block_num_heads": 2,
                "num_res_blocks": 1,
            },
            {
                "encoder_hidden_states": TEXT,
                "input_ids": torch.arange(16).view(1, 4, 4).repeat(2, 1, 1),
                "pooled_text_emb": Noise(2, 16),
                "micro_conds": Ones(2, 5),
            },
        ),
    }
)
