"""Tiny video transformers."""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from tests.support.tiny_denoisers.ingredients import Flags, Noise, Ones, Time, Tiny

WIDTH = {"num_layers": 3, "attention_head_dim": 8, "num_attention_heads": 2}
CLIP = Noise(2, 4, 2, 8, 8)
TEXT = Noise(2, 6, 16)
STEP = {"timestep": Time(), "encoder_hidden_states": TEXT}
COGVIDEO = {
    **WIDTH,
    "in_channels": 4,
    "out_channels": 4,
    "time_embed_dim": 8,
    "text_embed_dim": 16,
    "sample_width": 8,
    "sample_height": 8,
    "sample_frames": 8,
    "max_text_seq_length": 6,
}
FRAMES = Noise(2, 2, 4, 8, 8)

VIDEO_DENOISERS: Mapping[str, Tiny] = MappingProxyType(
    {
        "AllegroTransformer3DModel": Tiny(
            {
                **WIDTH,
                "in_channels": 4,
                "out_channels": 4,
                "cross_attention_dim": 16,
                "sample_width": 8,
                "sample_height": 8,
                "sample_frames": 8,
                "caption_channels": 16,
            },
            {"hidden_states": CLIP, **STEP, "image_rotary_emb": None},
        ),
        "LatteTransformer3DModel": Tiny(
            {
                **WIDTH,
                "sample_size": 8,
                "patch_size": 2,
                "caption_channels": 16,
                "in_channels": 4,
                "cross_attention_dim": 16,
                "out_channels": 4,
                "norm_type": "ada_norm_single",
                "norm_elementwise_affine": False,
                "video_length": 2,
            },
            {"hidden_states": CLIP, **STEP},
        ),
        "LTXVideoTransformer3DModel": Tiny(
            {**WIDTH, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 16, "caption_channels": 16},
            {
                "hidden_states": Noise(2, 32, 4),
                **STEP,
                "encoder_attention_mask": Flags(2, 6),
                "num_frames": 2,
                "height": 4,
                "width": 4,
            },
        ),
        "CosmosTransformer3DModel": Tiny(
            {
                "in_channels": 4,
                "out_channels": 4,
                "num_attention_heads": 2,
                "attention_head_dim": 12,
                "num_layers": 3,
                "mlp_ratio": 2,
                "text_embed_dim": 16,
                "adaln_lora_dim": 4,
                "max_size": (4, 32, 32),
                "patch_size": (1, 2, 2),
                "rope_scale": (2.0, 1.0, 1.0),
                "extra_pos_embed_type": "learnable",
                "concat_padding_mask": False,
            },
            {"hidden_states": CLIP, **STEP, "fps": 30},
        ),
        "SanaVideoTransformer3DModel": Tiny(
            {
                **WIDTH,
                "in_channels": 4,
                "out_channels": 4,
                "attention_head_dim": 12,
                "num_cross_attention_heads": 2,
                "cross_attention_head_dim": 12,
                "cross_attention_dim": 24,
                "caption_channels": 16,
                "sample_size": 8,
                "qk_norm": "rms_norm_across_heads",
                "rope_max_seq_len": 32,
            },
            {"hidden_states": CLIP, **STEP},
        ),
        "CogVideoXTransformer3DModel": Tiny(COGVIDEO, {"hidden_states": FRAMES, **STEP}),
        "ConsisIDTransformer3DModel": Tiny(
            {
                **COGVIDEO,
                "cross_attn_interval": 1,
                "is_train_face": True,
                "cross_attn_dim_head": 8,
                "cross_attn_num_heads": 2,
                "LFE_id_dim": 8,
                "LFE_vit_dim": 8,
                "LFE_depth": 5,
                "LFE_dim_head": 8,
                "LFE_num_heads": 2,
                "LFE_num_id_token": 1,
                "LFE_num_querie": 1,
                "LFE_output_dim": 10,
                "LFE_ff_mult": 1,
                "LFE_num_scale": 1,
            },
            {
                "hidden_states": FRAMES,
                **STEP,
                "id_vit_hidden": [Ones(2, 2, 8)],
                "id_cond": Ones(2, 8),
            },
        ),
        "EasyAnimateTransformer3DModel": Tiny(
            {
                "attention_head_dim": 16,
                "num_attention_heads": 2,
                "in_channels": 4,
                "mmdit_layers": 2,
                "num_layers": 3,
                "out_channels": 4,
                "patch_size": 2,
                "sample_height": 8,
                "sample_width": 8,
                "text_embed_dim": 16,
                "time_embed_dim": 8,
            },
            {"hidden_states": CLIP, **STEP},
        ),
        "MochiTransformer3DModel": Tiny(
            {
                **WIDTH,
                "pooled_projection_dim": 16,
                "in_channels": 4,
                "text_embed_dim": 16,
                "time_embed_dim": 4,
                "max_sequence_length": 6,
            },
            {"hidden_states": CLIP, **STEP, "encoder_attention_mask": Flags(2, 6)},
        ),
        "Kandinsky5Transformer3DModel": Tiny(
            {
                "in_text_dim": 16,
                "in_text_dim2": 8,
                "time_dim": 16,
                "model_dim": 32,
                "ff_dim": 64,
                "num_text_blocks": 2,
                "num_visual_blocks": 3,
                "axes_dims": (8, 4, 4),
            },
            {
                "hidden_states": Noise(1, 2, 4, 4, 4),
                "timestep": Time((1,)),
                "encoder_hidden_states": Noise(1, 6, 16),
                "pooled_projections": Noise(1, 8),
                "visual_rope_pos": [torch.arange(2), torch.arange(2), torch.arange(2)],
                "text_rope_pos": torch.arange(6),
            },
        ),
    }
)
