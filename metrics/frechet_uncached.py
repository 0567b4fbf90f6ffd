"""The Frechet distance between the features of samples and those of the uncached samples of the same seeds."""

import torch
from torch import Tensor

from metrics.features import Features, FloatArray, few
from metrics.frechet import FrechetDistance
from metrics.score import Score


class FrechetToUncached:
    """The Frechet distance between the encoder's features of samples and of the uncached samples of the same seeds.

    Papers on caching print it as FID2FC, on ADM's Inception. It asks whether the two sets are alike, not whether each
    sample is near its own. Both sides are of the same seeds, so that a pair counts as one sample: its influence is
    that on both sides, and two sets that are the same have the distance 0. N < 20 d is flagged as for
    `FrechetDistance`.
    """

    inputs: tuple[str, ...] = ("features", "baseline.features")
    higher_is_better = False
    name = "fd_uncached"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Put the two sides of a batch together, [B, 2, d]; ValueError where they are not both [B, d]."""
        features, baseline = inputs
        if features.ndim != 2 or 0 in features.shape or features.shape != baseline.shape:
            raise ValueError(
                f"features {list(features.shape)} and baseline.features {list(baseline.shape)} must both be [B, d]: "
                "take both from one encoder, paired by seed"
            )
        return torch.stack([features, baseline], dim=1)

    def score(self, rows: Features) -> Score:
        """Score pairs of features [N, 2, d]; ValueError for another shape, NaN or Inf, and fewer than 2 pairs."""
        if rows.ndim != 3 or rows.shape[1] != 2:
            raise ValueError(
                f"pairs of features must be [N, 2, d], not {list(rows.shape)}: one pair a sample"
            )
        samples, baseline = rows[:, 0], rows[:, 1]
        value, of_samples = _distance(samples, baseline)
        _, of_baseline = _distance(baseline, samples)
        influence = of_samples + of_baseline
        return Score(value, influence - influence.mean(), few(*samples.shape))


def _distance(samples: Features, others: Features) -> tuple[float, FloatArray]:
    """The distance of two sets, and the influence [N] of the first one's samples on it."""
    metric = FrechetDistance()
    metric.fit(others)
    return metric.distance(metric.checked(samples, least=2))
