"""Perceptual distance: LPIPS' arithmetic between a sample and the uncached sample of the same seed."""

import torch
from torch import Tensor

from metrics.score import SampleMean


class PerceptualDistance(SampleMean):
    """The mean over samples of the squared distance between a sample's `stages` and the uncached sample's.

    The arithmetic is LPIPS' (Zhang et al. 2018, equation 1) with all channel weights 1. The encoder gives, for
    each image, one vector of channel-normalised maps, each scaled by 1 / sqrt(H W), so that the squared distance is
    the spatial mean of the squared difference, summed over stages. Name it after its encoder, never plainly LPIPS.
    """

    inputs: tuple[str, ...] = ("stages", "baseline.stages")
    higher_is_better = False
    is_distance = True
    on_device = True
    name = "perceptual"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the squared distances, float64 [B], of two batches [B, D]; ValueError for others, NaN and Inf."""
        stages, baseline = inputs
        if stages.ndim != 2 or 0 in stages.shape or stages.shape != baseline.shape:
            raise ValueError(
                f"stages {list(stages.shape)} and baseline.stages {list(baseline.shape)} "
                "must both be [B, D]: take both from one encoder, paired by seed"
            )
        distances = (stages.double() - baseline.double()).square().sum(dim=1)
        if bad := int((~torch.isfinite(distances)).sum()):
            raise ValueError(
                f"{bad} of {len(distances)} rows of stages hold NaN or Inf: drop or regenerate these samples"
            )
        return distances
