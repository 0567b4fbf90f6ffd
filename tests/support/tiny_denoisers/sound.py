"""Tiny transformers of sound."""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from tests.support.tiny_denoisers.ingredients import Flags, Noise, Time, Tiny

TEXT = Noise(2, 6, 16)

SOUND_DENOISERS: Mapping[str, Tiny] = MappingProxyType(
    {
        "StableAudioDiTModel": Tiny(
            {
                "sample_size": 8,
                "in_channels": 4,
                "num_layers": 3,
                "attention_head_dim": 8,
                "num_attention_heads": 4,
                "num_key_value_attention_heads": 2,
                "out_channels": 4,
                "cross_attention_dim": 16,
                "cross_attention_input_dim": 16,
                "time_proj_dim": 16,
                "global_states_input_dim": 16,
            },
            {
                "hidden_states": Noise(2, 4, 8),
                "timestep": Time(scale=1.0),
                "encoder_hidden_states": TEXT,
                "global_hidden_states": Noise(2, 1, 16),
                "rotary_embedding": (torch.ones(9, 4), torch.zeros(9, 4)),
            },
        ),
        "StableAudio3DiTModel": Tiny(
            {
                "io_channels": 4,
                "embed_dim": 32,
                "depth": 3,
                "num_heads": 4,
                "cond_token_dim": 16,
                "global_cond_dim": 12,
                "local_add_cond_dim": 5,
                "timestep_features_dim": 16,
                "ff_mult": 2,
                "num_memory_tokens": 3,
            },
            {
                "hidden_states": Noise(2, 4, 16),
                "timestep": Time(scale=1.0),
                "encoder_hidden_states": TEXT,
                "global_hidden_states": Noise(2, 12),
            },
        ),
        "AceStepTransformer1DModel": Tiny(
            {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "head_dim": 8,
                "in_channels": 12,
                "audio_acoustic_hidden_dim": 4,
                "sliding_window": 16,
            },
            {
                "hidden_states": Noise(2, 8, 4),
                "timestep": Time(scale=1.0),
                "timestep_r": Time(scale=1.0),
                "encoder_hidden_states": Noise(2, 6, 32),
                "context_latents": Noise(2, 8, 8),
            },
        ),
        "LongCatAudioDiTTransformer": Tiny(
            {
                "dit_dim": 32,
                "dit_depth": 3,
                "dit_heads": 4,
                "dit_text_dim": 16,
                "latent_dim": 4,
                "text_conv": False,
            },
            {
                "hidden_states": Noise(2, 8, 4),
                "timestep": Time(scale=1.0),
                "encoder_hidden_states": TEXT,
                "encoder_attention_mask": Flags(2, 6),
                "attention_mask": Flags(2, 8),
            },
        ),
        "MiniMaxMusic3Transformer1DModel": Tiny(
            {
                "in_channels": 4,
                "condition_dim": 16,
                "num_layers": 3,
                "num_attention_heads": 2,
                "attention_head_dim": 8,
                "ff_inner_dim": 32,
                "rotary_dim": 4,
                "fourier_embedding_dim": 8,
            },
            {
                "hidden_states": Noise(2, 4, 8),
                "timestep": Time(scale=1.0),
                "encoder_hidden_states": Noise(2, 8, 16),
            },
        ),
        "T5FilmDecoder": Tiny(
            {
                "input_dims": 4,
                "targets_length": 8,
                "d_model": 16,
                "num_layers": 3,
                "num_heads": 2,
                "d_kv": 8,
                "d_ff": 32,
            },
            {
                "decoder_input_tokens": Noise(2, 8, 4),
                "decoder_noise_time": Time(scale=1.0),
                "encodings_and_masks": [(torch.ones(2, 6, 16), torch.ones(2, 6))],
            },
        ),
    }
)
