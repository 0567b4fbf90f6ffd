"""Embeddings that several transformers share."""

import math

import torch
from torch import Tensor


def sinusoid(timestep: Tensor, width: int) -> Tensor:
    """Embed times [B] as features float32 [B, width], cosines first (Vaswani et al. 2017, section 3.5)."""
    half = width // 2
    exponent = torch.arange(half, dtype=torch.float32, device=timestep.device) / half
    angles = timestep[:, None].float() * torch.exp(-math.log(10_000) * exponent)
    return torch.cat([angles.cos(), angles.sin()], -1)
