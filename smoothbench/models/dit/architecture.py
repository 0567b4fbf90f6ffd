"""Class-conditional diffusion transformers (Peebles and Xie 2023) through diffusers."""

from typing import Any

import torch
from diffusers import DiTTransformer2DModel
from torch import Tensor, nn

TIMESTEPS = 1000  # of training


def shape_of(config: dict[str, Any]) -> tuple[int, int, int]:
    """Return channels, height and width of what a DiT with this configuration denoises."""
    return config["in_channels"], config["sample_size"], config["sample_size"]


def empty_dit(config: dict[str, Any]) -> nn.Module:
    """Build a DiT of this configuration, whose weights are yet to be loaded."""
    return DiTTransformer2DModel.from_config(config).eval().requires_grad_(False)


def run_dit(denoiser: nn.Module, x: Tensor, t: float, labels: Tensor) -> Tensor:
    """Run a DiT once: the predicted noise [B, C, H, W], with a learned variance in C more channels if it has one."""
    if t != int(t) or not 0 <= t < TIMESTEPS:
        raise ValueError(
            f"a DiT knows the whole timesteps 0 to {TIMESTEPS - 1}, the solver asks for {t}: choose another solver"
        )
    timestep = torch.full((len(x),), int(t), device=x.device)
    prediction: Tensor = denoiser(x, timestep=timestep, class_labels=labels, return_dict=False)[0]
    return prediction
