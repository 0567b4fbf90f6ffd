"""Tiny image transformers that join text and picture in one stream."""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from tests.support.tiny_denoisers.ingredients import Flags, Noise, Time, Tiny, Zeros

WIDTH = {"attention_head_dim": 16, "num_attention_heads": 2}
TOKENS = Noise(2, 16, 4)
TEXT = Noise(2, 6, 32)
LATENT = Noise(2, 4, 8, 8)
FRACTION = Time(scale=1.0)

JOINED_DENOISERS: Mapping[str, Tiny] = MappingProxyType(
    {
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
