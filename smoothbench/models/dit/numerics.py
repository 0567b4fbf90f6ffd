"""The differences in numerics between diffusers' DiT and the original (facebookresearch/DiT).

With the same weights they differ in the frequencies of the timestep, the eps of the norm before the feed-forward, the
guided channels and the rounding to pixels. `smoothbench.solvers.ddim` has the differences of the samplers.
"""

from typing import Final

import torch
from torch import Tensor, nn

from smoothbench.models.base.guided import REFERENCE

DIFFUSERS: Final = "diffusers"
GUIDED_CHANNELS = 3  # the original guides these alone, "for exact reproducibility"; the latents have 4


def as_original(denoiser: nn.Module) -> None:
    """Make a diffusers DiT compute as the original: frequencies 10000^(-i/128), not ^(-i/127); eps 1e-6, not 1e-5."""
    blocks: nn.ModuleList = denoiser.transformer_blocks  # type: ignore[assignment]
    for block in blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = 0  # type: ignore[union-attr]
        block.norm3.eps = 1e-6  # type: ignore[union-attr]


def guided(cond: Tensor, uncond: Tensor, scale: float, numerics: str) -> Tensor:
    """Guide: uncond + scale * (cond - uncond); the original keeps the channels of cond from the fourth on."""
    mixed = torch.lerp(uncond, cond, scale)
    if numerics == DIFFUSERS:
        return mixed
    return torch.cat([mixed[:, :GUIDED_CHANNELS], cond[:, GUIDED_CHANNELS:]], 1)


def pixels(images: Tensor, numerics: str) -> Tensor:
    """Convert images in [-1, 1] to uint8 on the CPU.

    The original adds 128, not 127.5, and truncates: a tie goes up, where diffusers rounds it to even.
    """
    levels = (127.5 * images + 128) if numerics == REFERENCE else ((images / 2 + 0.5) * 255).round()
    return levels.clamp(0, 255).to("cpu", torch.uint8)
