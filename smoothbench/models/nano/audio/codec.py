"""The codec of `stable_audio_nano`: log-mel spectrogram to latents, latents to waveform."""

from typing import Final

import torch
from torch import Tensor, nn

from smoothbench.media.codecs import pcm
from smoothbench.models.nano.audio.spectrogram import BINS, MELS, expand, griffin_lim
from smoothbench.models.nano.residual import Residual

CHANNELS: Final = 32
LENGTH: Final = 64  # latent frames of a clip: two spectral frames each
WIDTH: Final = 128
NOISE: Final = 0.2  # on latents while training, so that neighbours of a latent decode alike
DECODED: Final = 192  # inner width of the decoder


class Encoder(nn.Module):
    """Encodes log-mel spectrograms [N, 80, 128] to latents [N, 32, 64] of zero mean and unit variance.

    The variance is that of each channel over the training clips (a batch norm without affine part).
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(MELS, WIDTH, 3, padding=1),
            Residual(nn.Conv1d, WIDTH),
            nn.Conv1d(WIDTH, WIDTH, 4, stride=2, padding=1),
            Residual(nn.Conv1d, WIDTH),
            nn.Conv1d(WIDTH, CHANNELS, 1),
        )
        self.norm = nn.BatchNorm1d(CHANNELS, affine=False)

    def forward(self, mel: Tensor) -> Tensor:
        return self.norm(self.body(mel))


class Decoder(nn.Module):
    """Decodes latents [N, 32, 64] to compressed magnitude spectrograms [N, 513, 128]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(CHANNELS, DECODED, 3, padding=1),
            Residual(nn.Conv1d, DECODED),
            nn.ConvTranspose1d(DECODED, DECODED, 4, stride=2, padding=1),
            Residual(nn.Conv1d, DECODED),
            nn.GroupNorm(8, DECODED),
            nn.SiLU(),
            nn.Conv1d(DECODED, BINS, 1),
        )

    def forward(self, latents: Tensor) -> Tensor:
        return self.body(latents)

    @torch.inference_mode()
    def audio(self, latents: Tensor) -> Tensor:
        """Decode latents to clips int16 [N, 1, samples] on the CPU, each by itself, so that the batch plays no part."""
        return torch.stack([self._clip(each[None].float()) for each in latents])

    def _clip(self, latents: Tensor) -> Tensor:
        return pcm(griffin_lim(expand(self(latents))[0]))[None]
