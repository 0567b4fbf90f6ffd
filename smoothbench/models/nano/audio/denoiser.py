"""The denoiser of `stable_audio_nano`: diffusers' StableAudioDiTModel at nano scale."""

from typing import Any, Final

from diffusers import StableAudioDiTModel
from diffusers.models.embeddings import get_1d_rotary_pos_embed
from torch import Tensor, nn

from smoothbench.models.nano.audio.codec import CHANNELS, LENGTH
from smoothbench.models.nano.audio.conditioner import WIDTH

CONFIG: Final[dict[str, Any]] = {
    "sample_size": LENGTH,
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "num_layers": 6,
    "attention_head_dim": 32,
    "num_attention_heads": 3,
    "num_key_value_attention_heads": 1,
    "cross_attention_dim": WIDTH,
    "cross_attention_input_dim": WIDTH,
    "global_states_input_dim": 2 * WIDTH,
    "time_proj_dim": 64,
}


def velocity(denoiser: nn.Module, z: Tensor, t: Tensor, states: Tensor, overall: Tensor) -> Tensor:
    """Predict v [N, C, T] of z = cos(pi t / 2) x0 + sin(pi t / 2) noise at times t [N].

    v = cos(pi t / 2) noise - sin(pi t / 2) x0 (Salimans and Ho 2022), so x0 = cos z - sin v. `states`
    and `overall` are the states that a Conditioner gives.
    """
    length, half = z.shape[-1] + 1, CONFIG["attention_head_dim"] // 2
    rotary = get_1d_rotary_pos_embed(half, length, use_real=True, repeat_interleave_real=False)
    rotary = tuple(part.to(z) for part in rotary)
    prediction: Tensor = denoiser(z, t, states, overall, rotary, return_dict=False)[0]
    return prediction


def empty_denoiser(config: dict[str, Any] = CONFIG) -> nn.Module:
    """Build a denoiser that predicts zero for everything; its time features are drawn from torch's current seed."""
    denoiser = StableAudioDiTModel.from_config(config)
    for layer in (denoiser.preprocess_conv, denoiser.postprocess_conv, denoiser.proj_out):
        nn.init.zeros_(layer.weight)
    return denoiser
