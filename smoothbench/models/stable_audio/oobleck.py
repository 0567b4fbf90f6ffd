"""Stable Audio's decoder from latents to stereo audio."""

import math
import warnings
from typing import Any

import torch
from diffusers import AutoencoderOobleck
from torch import Tensor

from smoothbench.models.weights.diffusers_layout import load_component
from smoothbench.models.weights.locate import Files
from smoothbench.models.weights.read import cast


class Oobleck:
    """Decodes latents to audio in about [-1, 1], in float32, one clip at a time: each takes gigabytes.

    Without files it is the published architecture with random weights, for latencies alone. Raises
    ValueError, naming the file, for weights that are damaged or of another model.
    """

    def __init__(self, files: Files | None, device: torch.device) -> None:
        with warnings.catch_warnings():
            # of diffusers' own use of torch
            warnings.filterwarnings("ignore", message=".*weight_norm", category=FutureWarning)
            if files is None:
                self._vae: Any = AutoencoderOobleck()
            else:
                self._vae = load_component(AutoencoderOobleck, files, low_cpu_mem_usage=False)
        cast(self._vae, torch.float32).requires_grad_(False).eval().to(device)

    @torch.inference_mode()
    def __call__(self, latents: Tensor) -> Tensor:
        """Decode latents [B, C, frames] to audio [B, channels, frames * hop]."""
        return torch.cat([self._vae.decode(each).sample for each in latents.float().split(1)])


def channels(files: Files | None) -> int:
    """Return how many channels the audio has; without files, those of the published decoder."""
    return int((files.config() if files else {}).get("audio_channels", 2))


def rate_and_hop(files: Files | None, channels: int) -> tuple[int, int]:
    """Return the sample rate in Hz and the samples of one latent frame; without files, those of the published decoder.

    Raises ValueError, naming the file, for a decoder that does not fit the model.
    """
    config = files.config() if files else {}
    kind = config.get("_class_name", AutoencoderOobleck.__name__)
    latent_channels = config.get("decoder_input_channels", channels)
    if files and (kind != AutoencoderOobleck.__name__ or latent_channels != channels):
        raise ValueError(
            f"{files.folder}: a {kind} of {latent_channels} channels, where an {AutoencoderOobleck.__name__} of "
            f"{channels} is wanted: download or save it again"
        )
    hop = math.prod(config.get("downsampling_ratios", [2, 4, 4, 8, 8]))
    return int(config.get("sampling_rate", 44100)), hop
