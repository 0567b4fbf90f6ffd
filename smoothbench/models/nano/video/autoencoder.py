"""The frame autoencoder of `opensora_nano`, which maps each frame by itself to latents and back."""

from typing import Final

import torch
from torch import Tensor, nn

from smoothbench.media.codecs import levels
from smoothbench.models.nano.residual import Residual

CHANNELS: Final = 4  # as Open-Sora's
LATENT: Final = 8  # rows and columns of a frame's latents
NOISE: Final = 0.1  # on latents while training, so that neighbours of a latent decode alike


class Encoder(nn.Module):
    """Encodes frames uint8 [N, 3, 32, 32] to latents [N, 4, 8, 8] of zero mean and unit variance.

    The variance is that of each channel over the training clips (a batch norm without affine part).
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 32, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            Residual(nn.Conv2d, 64),
            nn.Conv2d(64, CHANNELS, 1),
        )
        self.norm = nn.BatchNorm2d(CHANNELS, affine=False)

    def forward(self, frames: Tensor) -> Tensor:
        return self.norm(self.body(frames.float() / 127.5 - 1))


class Decoder(nn.Module):
    """Decodes latents [N, 4, 8, 8] to frames [N, 3, 32, 32] in [-1, 1], or a little beyond."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(CHANNELS, 64, 3, padding=1),
            Residual(nn.Conv2d, 64),
            Residual(nn.Conv2d, 64),
            nn.Conv2d(64, 4 * 32, 3, padding=1),
            nn.PixelShuffle(2),
            Residual(nn.Conv2d, 32),
            nn.Conv2d(32, 4 * 16, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(16, 3, 3, padding=1),
        )

    def forward(self, latents: Tensor) -> Tensor:
        return self.body(latents)

    @torch.inference_mode()
    def clips(self, latents: Tensor) -> Tensor:
        """Decode latents [B, 4, T, 8, 8] to clips uint8 [B, T, 3, 32, 32] on the CPU, each clip by itself.

        Raises FloatingPointError for frames that are not finite.
        """
        return torch.stack([self._clip(each.float()) for each in latents])

    def _clip(self, latents: Tensor) -> Tensor:
        return levels(self(latents.transpose(0, 1).contiguous()))


@torch.inference_mode()
def encoded(encoder: nn.Module, clips: Tensor) -> Tensor:
    """Encode clips uint8 [N, T, 3, 32, 32] to latents [N, 4, T, 8, 8]."""
    latents: Tensor = encoder(clips.flatten(0, 1))
    return latents.unflatten(0, clips.shape[:2]).transpose(1, 2).contiguous()
