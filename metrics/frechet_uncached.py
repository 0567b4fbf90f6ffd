"""The Frechet distance between the features of samples and those of the uncached samples of the same seeds."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metrics.features import Features, FloatArray, few
from metrics.frechet import FrechetDistance
from metrics.score import Score


class FrechetToUncached:
    """The Frechet distance between the encoder's features of samples and of the uncached samples of the same seeds.

    Papers on caching print it as FID2FC, on ADM's Inception. Both sides are of the same seeds, so that a pair counts as
    one sample: its influence is that on both sides, and two sets that are the same have the distance 0. It asks whether
    the two sets are alike; but of N pairs it is too large by an amount of order 1 / N, which is the larger the further
    apart the pairs are, and where the sets are much alike that is most of it. The interval knows nothing of that: where
    half the standard error may come of it, the score is flagged. N < 20 d is flagged as for `FrechetDistance`.
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
        score = Score(value, influence - influence.mean(), few(*samples.shape))
        return replace(score, flag=score.flag or _excess(samples, baseline, score))


def _excess(samples: Features, baseline: Features, score: Score) -> str | None:
    """A caution where a finite N alone may make half the standard error, by the distances of both halves of the pairs.

    Twice as few pairs have twice the excess, so that halves exceed the whole by what the whole has too much.
    """
    if len(samples) < 4 or np.array_equal(samples, baseline):
        return None
    halves = [_distance(samples[half::2], baseline[half::2])[0] for half in (0, 1)]
    excess = sum(halves) / 2 - score.value
    if not 2 * excess > score.estimate.se:
        return None
    share = round(100 * excess / max(excess, score.value))
    return f"about {share} % of it comes of N={len(samples)} alone: the interval lies too high"


def _distance(samples: Features, others: Features) -> tuple[float, FloatArray]:
    """The distance of two sets, and the influence [N] of the first one's samples on it."""
    metric = FrechetDistance()
    metric.fit(others)
    return metric.distance(metric.checked(samples, least=2))
