"""The denoiser of `opensora_nano`: STDiT3 at nano scale."""

from typing import Any, Final

import torch
from torch import Tensor, nn

from smoothbench.models.nano.video.autoencoder import CHANNELS
from smoothbench.models.nano.video.corpus import FPS, SIZE
from smoothbench.models.nano.video.text import TOKENS, WIDTH
from smoothbench.models.opensora.stdit3 import STDiT3, initialise

CONFIG: Final[dict[str, Any]] = {
    "in_channels": CHANNELS,
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


def velocity(denoiser: nn.Module, z: Tensor, t: Tensor, states: Tensor, seen: Tensor) -> Tensor:
    """The predicted v = x0 - noise [N, C, T, H, W] of z = (1 - t) x0 + t noise at times t [N] in (0, 1].

    `states` [N, 8, 64] are those of the captions' words, `seen` bool [N, 8] is true for words.
    """
    fps = torch.full((len(z),), float(FPS))
    v: Tensor = denoiser(z, 1000 * t, states[:, None], seen, fps, float(SIZE), float(SIZE))
    return v


def empty_denoiser(config: dict[str, Any] = CONFIG) -> STDiT3:
    """A denoiser that predicts zero for everything; its other weights are drawn from the seed in force."""
    denoiser = STDiT3(**config)
    initialise(denoiser)
    return denoiser
