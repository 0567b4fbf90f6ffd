"""Tiny transformers of video with sound, of worlds and of proteins."""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from tests.support.tiny_denoisers.ingredients import Flags, Noise, Ones, Time, Tiny

TEXT = Noise(2, 6, 16)
LTX2 = {
    "in_channels": 4,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 16,
    "audio_in_channels": 4,
    "audio_out_channels": 4,
    "audio_num_attention_heads": 2,
    "audio_attention_head_dim": 4,
    "audio_cross_attention_dim": 8,
    "num_layers": 3,
    "caption_channels": 16,
    "rope_double_precision": False,
}
PACKED = torch.tensor([1] * 4 + [2] * 6 + [0] * 8)  # text, sound and video tokens of MiniMax-H3

WORLDS_DENOISERS: Mapping[str, Tiny] = MappingProxyType(
    {
        "LTX2VideoTransformer3DModel": Tiny(
            LTX2,
            {
                "hidden_states": Noise(2, 32, 4),
                "audio_hidden_states": Noise(2, 9, 4),
                "encoder_hidden_states": TEXT,
                "audio_encoder_hidden_states": TEXT,
                "timestep": Time(),
                "encoder_attention_mask": Flags(2, 6),
                "num_frames": 2,
                "height": 4,
                "width": 4,
                "audio_num_frames": 9,
                "fps": 25.0,
            },
        ),
        "SanaWMLTX2RefinerTransformer3DModel": Tiny(
            LTX2,
            {
                "hidden_states": Noise(2, 32, 4),
                "encoder_hidden_states": TEXT,
                "timestep": Time(),
                "video_rotary_emb": (torch.ones(2, 32, 16), torch.zeros(2, 32, 16)),
            },
        ),
        "Kandinsky6Transformer3DModel": Tiny(
            {
                "in_visual_dim": 4,
                "out_visual_dim": 4,
                "in_text_dim": 16,
                "in_text_dim2": 8,
                "time_dim": 16,
                "model_dim": 32,
                "ff_dim": 64,
                "num_text_blocks": 2,
                "num_visual_blocks": 3,
                "axes_dims": (8, 4, 4),
                "visual_cond": False,
                "in_audio_dim": 4,
                "out_audio_dim": 4,
            },
            {
                "hidden_states": Noise(2, 2, 4, 4, 4),
                "timestep": Time(),
                "encoder_hidden_states": TEXT,
                "pooled_projections": Noise(2, 8),
                "audio_hidden_states": Noise(2, 5, 4),
            },
        ),
        "Kandinsky6SRTransformer3DModel": Tiny(
            {
                "in_visual_dim": 2,
                "out_visual_dim": 4,
                "time_dim": 16,
                "model_dim": 16,
                "ff_dim": 32,
                "num_visual_blocks": 2,
                "axes_dims": (8, 4, 4),
                "nabla_window": (1, 1, 1),
            },
            {"hidden_states": Noise(2, 1, 8, 8, 5), "timestep": Time()},
        ),
        "MiniMaxH3Transformer3DModel": Tiny(
            {
                "num_attention_heads": 2,
                "attention_head_dim": 16,
                "hidden_size": 24,
                "num_layers": 3,
                "num_refiner_layers": 2,
                "ffn_dim": 32,
                "in_channels": 4,
                "audio_in_channels": 6,
                "text_dim": 16,
                "freq_dim": 8,
                "time_embed_hidden_dim": 24,
                "time_embed_dim": 16,
                "rope_freq_dim": 2,
            },
            {
                "hidden_states": Noise(2, 8, 16),
                "audio_hidden_states": Noise(2, 6, 6),
                "encoder_hidden_states": Noise(2, 4, 16),
                "timestep": Time(scale=1.0),
                "timestep_indices": (PACKED == 2).long(),
                "token_tags": PACKED,
                "position_ids": torch.arange(18.0)[:, None].repeat(1, 3),
                "video_indices": torch.arange(10, 18),
                "audio_indices": torch.arange(4, 10),
                "text_indices": torch.arange(4),
            },
        ),
        "SanaWMTransformer3DModel": Tiny(
            {
                "in_channels": 4,
                "num_layers": 4,
                "hidden_size": 32,
                "num_attention_heads": 2,
                "linear_head_dim": 16,
                "softmax_every_n": 2,
                "chunk_plucker_channels": 6,
                "caption_channels": 16,
            },
            {
                "hidden_states": Noise(2, 4, 2, 4, 4),
                "timestep": Time((2, 1, 2)),
                "encoder_hidden_states": Noise(2, 1, 6, 16),
                "encoder_attention_mask": Ones(2, 6),
            },
        ),
        "Cosmos3OmniTransformer": Tiny(
            {
                "head_dim": 6,
                "hidden_act": "relu2",
                "hidden_size": 12,
                "intermediate_size": 24,
                "latent_channel": 2,
                "latent_patch_size": 1,
                "num_attention_heads": 2,
                "num_hidden_layers": 3,
                "num_key_value_heads": 1,
                "patch_latent_dim": 2,
                "qk_norm_for_text": False,
                "rope_axes_dim": [1, 1, 1],
                "vocab_size": 32,
            },
            {
                "vision_tokens": [Noise(1, 2, 1, 2, 2)],
                "vision_timesteps": Time((4,)),
                "input_ids": torch.tensor([1, 2]),
                "text_indexes": torch.tensor([0, 1]),
                "position_ids": torch.zeros(3, 6, dtype=torch.long),
                "und_len": 2,
                "sequence_length": 6,
                "vision_token_shapes": [(1, 2, 2)],
                "vision_sequence_indexes": torch.arange(2, 6),
                "vision_mse_loss_indexes": torch.arange(2, 6),
                "vision_noisy_frame_indexes": [torch.tensor([0])],
            },
        ),
        "RFD4ProteinaTransformer": Tiny(
            {
                "nlayers": 3,
                "token_dim": 16,
                "nheads": 2,
                "dim_cond": 16,
                "pair_repr_dim": 8,
                "latent_dim": 4,
                "t_emb_dim": 8,
                "feats_seq": ("xt_bb_ca", "xt_local_latents"),
                "feats_cond_seq": ("time_emb_bb_ca", "time_emb_local_latents"),
                "feats_pair_repr": ("xt_bb_ca_pair_dists",),
                "feats_pair_cond": ("time_emb_bb_ca",),
                "tri_mult_c": 8,
            },
            {
                "bb_ca": Noise(2, 6, 3),
                "local_latents": Noise(2, 6, 4),
                "bb_ca_time": Time(scale=1.0, rises=True),
                "local_latents_time": Time(scale=1.0, rises=True),
                "padding_mask": Flags(2, 6),
                "conditioning": {
                    "is_in_context_conditioning": torch.zeros(2, 6, dtype=torch.bool),
                    "supports_local_latent": Flags(2, 6),
                },
            },
        ),
    }
)
