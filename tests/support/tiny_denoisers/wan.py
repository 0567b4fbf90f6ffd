"""Tiny video transformers of the family of Wan."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.support.tiny_denoisers.ingredients import Noise, Ones, Time, Tiny

CLIP = Noise(2, 4, 2, 8, 8)
TEXT = Noise(2, 6, 16)
STEP = {"timestep": Time(), "encoder_hidden_states": TEXT}
WAN = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 4,
    "out_channels": 4,
    "text_dim": 16,
    "freq_dim": 16,
    "ffn_dim": 32,
    "num_layers": 3,
    "rope_max_seq_len": 32,
}
ANYFLOW = {
    "hidden_states": Noise(2, 2, 4, 8, 8),
    "timestep": Time((2, 2)),
    "r_timestep": Time((2, 2), 500.0),
    "encoder_hidden_states": TEXT,
}
WAN_FACE = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 12,
    "latent_channels": 4,
    "out_channels": 4,
    "text_dim": 16,
    "freq_dim": 16,
    "ffn_dim": 32,
    "num_layers": 4,
    "image_dim": 16,
    "rope_max_seq_len": 32,
    "motion_encoder_channel_sizes": {"4": 16, "8": 16, "16": 16},
    "motion_encoder_size": 16,
    "motion_style_dim": 8,
    "motion_dim": 4,
    "motion_encoder_dim": 16,
    "face_encoder_hidden_dim": 16,
    "face_encoder_num_heads": 2,
    "inject_face_latents_blocks": 2,
}

WAN_DENOISERS: Mapping[str, Tiny] = MappingProxyType(
    {
        "WanTransformer3DModel": Tiny(WAN, {"hidden_states": CLIP, **STEP}),
        "SkyReelsV2Transformer3DModel": Tiny(WAN, {"hidden_states": CLIP, **STEP}),
        "ChronoEditTransformer3DModel": Tiny(WAN, {"hidden_states": CLIP, **STEP}),
        "AnyFlowTransformer3DModel": Tiny({**WAN, "gate_value": 0.25}, ANYFLOW),
        "AnyFlowFARTransformer3DModel": Tiny(
            {
                **WAN,
                "compressed_patch_size": (1, 4, 4),
                "full_chunk_limit": 3,
                "gate_value": 0.25,
            },
            {**ANYFLOW, "chunk_partition": [1, 1]},
        ),
        "HeliosTransformer3DModel": Tiny(
            {
                **{key: value for key, value in WAN.items() if key != "rope_max_seq_len"},
                "rope_dim": (4, 4, 4),
                "guidance_cross_attn": True,
                "zero_history_timestep": True,
            },
            {
                "hidden_states": CLIP,
                **STEP,
                "indices_hidden_states": Ones(2, 2),
                "indices_latents_history_short": Ones(2, 1),
                "indices_latents_history_mid": Ones(2, 1),
                "indices_latents_history_long": Ones(2, 4),
                "latents_history_short": Noise(2, 4, 1, 8, 8),
                "latents_history_mid": Noise(2, 4, 1, 8, 8),
                "latents_history_long": Noise(2, 4, 4, 8, 8),
            },
        ),
        "WanVACETransformer3DModel": Tiny(
            {**WAN, "num_layers": 4, "vace_layers": [0, 2], "vace_in_channels": 12},
            {"hidden_states": CLIP, **STEP, "control_hidden_states": Noise(2, 12, 2, 8, 8)},
        ),
        "WanAnimateTransformer3DModel": Tiny(
            WAN_FACE,
            {
                "hidden_states": Noise(1, 12, 21, 4, 4),
                "timestep": Time((1,)),
                "encoder_hidden_states": Noise(1, 6, 16),
                "encoder_hidden_states_image": Noise(1, 6, 16),
                "pose_hidden_states": Noise(1, 4, 20, 4, 4),
                "face_pixel_values": Noise(1, 3, 77, 16, 16),
            },
        ),
    }
)
