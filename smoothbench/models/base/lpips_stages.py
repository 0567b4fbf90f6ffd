"""Flatten the inner feature maps of a network to one vector per image, for perceptual distances."""

from collections.abc import Sequence

import torch
from torch import Tensor

EPSILON = 1e-8  # inside the root, as torchmetrics' LPIPS; the authors' own code has 1e-10 outside


def stage_vectors(maps: Sequence[Tensor]) -> Tensor:
    """Return vectors whose squared distance is that of LPIPS with all channel weights 1, float32 [N, D].

    `maps` are [N, C, H, W], one for each stage. Each position is normalised to unit length over its
    channels and the map scaled by 1/sqrt(H*W), so that sum((a - b)**2) is the spatial mean of the
    squared difference, summed over stages (Zhang et al. 2018, arXiv 1801.03924, equation 1).
    """
    return torch.cat([_unit(stage).flatten(1) for stage in maps], 1)


def _unit(stage: Tensor) -> Tensor:
    stage = stage.float()
    positions = stage.shape[2] * stage.shape[3]
    length = (stage.square().sum(1, keepdim=True) + EPSILON).sqrt()
    return stage / (length * positions**0.5)
