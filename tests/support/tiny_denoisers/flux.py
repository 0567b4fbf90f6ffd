"""Tiny image transformers of the family of FLUX: joint attention over two streams, then single-stream blocks."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.support.tiny_denoisers.ingredients import Flags, Noise, Ones, Time, Tiny

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

FLUX_DENOISERS: Mapping[str, Tiny] = MappingProxyType(
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
    }
)
