"""The denoiser of `opensora_nano`: STDiT3 at nano scale.

STDiT3's only information on time is the relative position of frames. That suffices to learn the direction of motion,
but not within an hour of training on a CPU, so here a fifth channel gives each frame its position in the clip.
"""

import math
from typing import Any, Final

import torch
from torch import Tensor, nn

from smoothbench.models.nano.video.autoencoder import CHANNELS
from smoothbench.models.nano.video.corpus import FPS, SIZE
from smoothbench.models.nano.video.text import TOKENS, WIDTH
from smoothbench.models.opensora.stdit3 import STDiT3, initialise

CONFIG: Final[dict[str, Any]] = {
    "in_channels": CHANNELS + 1,
    "hidden_size": 96,
    "depth": 4,
    "num_heads": 4,
    "mlp_ratio": 4.0,
    "patch_size": [1, 2, 2],
    "caption_channels": WIDTH,
    "model_max_length": TOKENS,
    "input_sq_size": SIZE,
    "qk_norm": True,
    "pred_sigma": False,
}

AMPLITUDE: Final = 4.0  # of the fifth channel, whose weights start small


def placed(z: Tensor) -> Tensor:
    """Add to latents [N, 4, T, H, W], H and W even, a fifth channel: cosines of the frame's place in the clip.

    Each patch of 2 x 2 holds those of one to four half periods.
    """
    rows, _, frames, height, width = z.shape
    middle = (torch.arange(frames, device=z.device, dtype=z.dtype) + 0.5) / frames
    waves = [AMPLITUDE * torch.cos(math.pi * halves * middle) for halves in range(1, 5)]
    code = torch.stack(waves, 1).view(1, 1, frames, 2, 2).repeat(rows, 1, 1, height // 2, width // 2)
    return torch.cat([z, code], 1)


def velocity(denoiser: nn.Module, z: Tensor, t: Tensor, states: Tensor, seen: Tensor) -> Tensor:
    """Predict v = x0 - noise [N, C, T, H, W] of z = (1 - t) x0 + t noise at times t [N] in (0, 1].

    `states` [N, 8, 64] are those of the captions' words, `seen` bool [N, 8] is true for words.
    """
    fps = torch.full((len(z),), float(FPS))
    v: Tensor = denoiser(placed(z), 1000 * t, states[:, None], seen, fps, float(SIZE), float(SIZE))
    return v[:, :CHANNELS]


def empty_denoiser(config: dict[str, Any] = CONFIG) -> STDiT3:
    """Build a denoiser that predicts zero for everything; its other weights are drawn from torch's current seed."""
    denoiser = STDiT3(**config)
    initialise(denoiser)
    return denoiser
