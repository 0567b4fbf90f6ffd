"""Distance to the uncached sample of the same seed, as a network sees it."""

import torch
from torch import Tensor

from metrics.score import SampleMean


class PerceptualDistance(SampleMean):
    """Mean over samples of the squared distance of the encoder's `stages` to the uncached sample's.

    The arithmetic is LPIPS' (Zhang et al. 2018, equation 1) with all channel weights 1, where the encoder
    gives for each image one row of channel-normalised maps, each scaled by 1 / sqrt(H W): the spatial mean
    of the squared difference, summed over stages. Named for its encoder, never an unqualified LPIPS.
    """

    inputs: tuple[str, ...] = ("stages", "baseline.stages")
    higher_is_better = False
    is_distance = True
    name = "perceptual"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Squared distances, float64 [B], of two [B, D]; raises ValueError for others, NaN and Inf."""
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
