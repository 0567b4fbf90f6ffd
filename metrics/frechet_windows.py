"""The Frechet distance of samples that an encoder sees in windows (audio)."""

from metrics.features import Features, at_least, few
from metrics.frechet import FrechetDistance
from metrics.score import Score


class WindowedFrechetDistance(FrechetDistance):
    """The Frechet distance between the pooled windows of all samples and those of real samples.

    FD-OpenL3 is defined so (Evans et al. 2024, arXiv 2402.04825): every window counts as a sample. For the standard
    error that would be wrong, because windows of one clip depend on each other: the influence of a clip is the mean
    over its windows, which gives the standard error of clusters. N < 20 d is flagged, for N clips.
    """

    inputs: tuple[str, ...] = ("windows",)
    name = "fd_windows"
    version = 1

    def fit(self, features: Features) -> None:
        """Take the features [M, W, d] of real samples; ValueError as of `FrechetDistance.fit`."""
        super().fit(_pooled(features))

    def score(self, features: Features) -> Score:
        """Score features [N, W, d]; ValueError for other shapes, NaN or Inf, and fewer than 2 samples."""
        pooled = self.checked(_pooled(features), least=1)
        clips, _, width = features.shape
        at_least(clips, 2, type(self).__name__)
        value, influence = self.distance(pooled)
        clustered = influence.reshape(clips, -1).mean(axis=1)
        return Score(value, clustered - clustered.mean(), few(clips, width))


def _pooled(features: Features) -> Features:
    if features.ndim != 3 or 0 in features.shape:
        raise ValueError(
            f"windows must be [N, W, d] and not empty, not {list(features.shape)}: the encoder gives W windows a sample"
        )
    return features.reshape(-1, features.shape[2])
