"""Tiny U-Nets, and the transformers that are parts of them."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.support.tiny_denoisers.ingredients import Noise, Ones, Time, Tiny

STEP = {"timestep": Time(), "encoder_hidden_states": Noise(2, 4, 16)}
SAMPLE = Noise(2, 4, 8, 8)
CLIP = Noise(2, 4, 2, 8, 8)
LEVELS = {"block_out_channels": (8, 16, 16), "norm_num_groups": 4, "layers_per_block": 1}
CROSS = {**LEVELS, "cross_attention_dim": 16}


def blocks(kind: str, suffix: str = "") -> dict[str, tuple[str, ...]]:
    """Block types of a U-Net of three levels, of which the deepest has no attention."""
    down = (f"CrossAttnDownBlock{kind}", f"CrossAttnDownBlock{kind}", f"DownBlock{kind}")
    up = (f"UpBlock{kind}", f"CrossAttnUpBlock{kind}", f"CrossAttnUpBlock{kind}")
    return {"down_block_types": down, "up_block_types": up}


UNETS: Mapping[str, Tiny] = MappingProxyType(
    {
        "UNet2DConditionModel": Tiny(
            {**CROSS, **blocks("2D"), "attention_head_dim": 2}, {"sample": SAMPLE, **STEP}
        ),
        "UNetControlNetXSModel": Tiny(
            {
                **blocks("2D"),
                "block_out_channels": (8, 16, 16),
                "cross_attention_dim": 16,
                "num_attention_heads": 2,
                "norm_num_groups": 4,
                "upcast_attention": False,
                "ctrl_block_out_channels": (4, 8, 8),
                "ctrl_num_attention_heads": 4,
                "ctrl_max_norm_num_groups": 2,
                "ctrl_conditioning_embedding_out_channels": (2, 2),
            },
            {"sample": SAMPLE, **STEP, "controlnet_cond": Noise(2, 3, 16, 16), "conditioning_scale": 1},
        ),
        "UNet2DModel": Tiny(
            {
                **LEVELS,
                "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
                "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
                "attention_head_dim": 4,
                "in_channels": 4,
                "out_channels": 4,
            },
            {"sample": SAMPLE, "timestep": Time()},
        ),
        "UNet1DModel": Tiny(
            {
                "block_out_channels": (8, 8, 16, 16),
                "in_channels": 4,
                "out_channels": 4,
                "time_embedding_type": "positional",
                "use_timestep_embedding": True,
                "flip_sin_to_cos": False,
                "freq_shift": 1.0,
                "out_block_type": "OutConv1DBlock",
                "mid_block_type": "MidResTemporalBlock1D",
                "down_block_types": ("DownResnetBlock1D",) * 4,
                "up_block_types": ("UpResnetBlock1D",) * 3,
                "act_fn": "swish",
            },
            {"sample": Noise(2, 4, 16), "timestep": Time()},
        ),
        "UNet3DConditionModel": Tiny(
            {**CROSS, **blocks("3D"), "attention_head_dim": 4}, {"sample": CLIP, **STEP}
        ),
        "I2VGenXLUNet": Tiny(
            {**CROSS, **blocks("3D"), "attention_head_dim": 2},
            {
                "sample": CLIP,
                **STEP,
                "fps": Ones(2),
                "image_latents": CLIP,
                "image_embeddings": Noise(2, 16),
            },
        ),
        "UNetMotionModel": Tiny(
            {**CROSS, **blocks("Motion"), "num_attention_heads": 2, "motion_num_attention_heads": 2},
            {"sample": CLIP, **STEP, "encoder_hidden_states": Noise(4, 4, 16)},
        ),
        "UNetSpatioTemporalConditionModel": Tiny(
            {
                **blocks("SpatioTemporal"),
                "block_out_channels": (32, 64, 64),
                "layers_per_block": 1,
                "cross_attention_dim": 16,
                "num_attention_heads": 4,
                "in_channels": 4,
                "addition_time_embed_dim": 4,
                "projection_class_embeddings_input_dim": 12,
            },
            {
                "sample": Noise(2, 2, 4, 8, 8),
                **STEP,
                "encoder_hidden_states": Noise(2, 1, 16),
                "added_time_ids": Ones(2, 3),
            },
        ),
        "Kandinsky3UNet": Tiny(
            {
                "time_embedding_dim": 16,
                "groups": 4,
                "attention_head_dim": 8,
                "layers_per_block": 2,
                "block_out_channels": (8, 16, 16, 32),
                "cross_attention_dim": 24,
                "encoder_hid_dim": 16,
            },
            {
                "sample": SAMPLE,
                **STEP,
                "encoder_attention_mask": Ones(2, 4),
            },
        ),
        "StableCascadeUNet": Tiny(
            {
                "in_channels": 4,
                "out_channels": 4,
                "timestep_ratio_embedding_dim": 8,
                "conditioning_dim": 16,
                "block_out_channels": (16, 16),
                "num_attention_heads": (2, 2),
                "down_num_layers_per_block": (1, 2),
                "up_num_layers_per_block": (2, 1),
                "clip_text_pooled_in_channels": 16,
            },
            {
                "sample": SAMPLE,
                "timestep_ratio": Time(scale=1.0),
                "clip_text_pooled": Noise(2, 1, 16),
            },
        ),
        "DreamLiteUNetModel": Tiny(
            {
                **CROSS,
                "attention_head_dim": 8,
                "num_kv_heads": None,
                "ff_mult": 2,
            },
            {"sample": SAMPLE, **STEP},
        ),
        "DreamLiteTransformer2DModel": Tiny(
            {
                "num_attention_heads": 2,
                "attention_head_dim": 8,
                "in_channels": 16,
                "num_layers": 3,
                "norm_num_groups": 4,
                "cross_attention_dim": 16,
            },
            {"hidden_states": Noise(2, 16, 4, 4), **STEP},
        ),
        "TransformerTemporalModel": Tiny(
            {
                "num_attention_heads": 2,
                "attention_head_dim": 8,
                "in_channels": 4,
                "num_layers": 3,
                "norm_num_groups": 2,
            },
            {"hidden_states": Noise(4, 4, 8, 8), "timestep": Time(), "num_frames": 2},
        ),
    }
)
