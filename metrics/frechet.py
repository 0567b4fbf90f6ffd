"""The Frechet distance between the features of generated and real samples."""

import numpy as np

from metrics.features import Features, FloatArray, at_least, checked, few, pieces
from metrics.gaussians import distance_and_transport, frechet_influence
from metrics.moments import Moments
from metrics.real_statistics import FileStatistics, RealStatistics, SampleStatistics
from metrics.score import Score
from metrics.span import span_distance


class FrechetDistance:
    """The Frechet distance between the encoder's features of samples and of real data (Heusel et al. 2017).

    The real statistics come from `reference`, an npz of mu and sigma (N - 1), or from the features given to `fit`,
    not from both; `suffix` ends the names of the two arrays.
    Call it FID only where the encoder is ADM's Inception. A score is flagged for N < 20 d, where the bias of about
    1 / N is as large as the differences between methods: then only differences at equal N mean something.
    `digest` is the sha256 of the reference file. Raises ValueError for an unusable file.
    """

    inputs: tuple[str, ...] = ("features",)
    higher_is_better = False
    name = "fd"
    version = 1
    digested = ("reference",)

    def __init__(self, reference: str | None = None, suffix: str = "") -> None:
        self.reference_file = reference
        self._real_statistics: RealStatistics | None = None
        self.digest: str | None = None
        if reference is not None:
            statistics = FileStatistics(reference, suffix)
            self._real_statistics, self.digest = statistics, statistics.digest

    def fit(self, features: Features) -> None:
        """Take the features [M, d] of real samples; ValueError for other shapes, and if there is a `reference`."""
        if self.reference_file is not None:
            raise ValueError(
                f"the metric has reference statistics {self.reference_file} and real samples: name only one of them"
            )
        self._real_statistics = SampleStatistics(features)

    def score(self, features: Features) -> Score:
        """Score features [N, d]; ValueError for another width, NaN or Inf, and fewer than 2 samples."""
        value, influence = self.distance(self.checked(features, least=2))
        return Score(value, influence - influence.mean(), few(*features.shape))

    def checked(self, features: Features, least: int) -> Features:
        """Return the features if they can be scored; ValueError otherwise."""
        width, source = self.real_statistics.mean.size, self.reference_file or "of the real samples"
        checked(features, self.inputs[0], width, f"the reference statistics {source}")
        at_least(len(features), least, type(self).__name__)
        return features

    def distance(self, features: Features) -> tuple[float, FloatArray]:
        """Return the distance and the influence [N], whose mean is of order 1 / N because sigma divides by N - 1."""
        real = self.real_statistics
        if len(features) < features.shape[1]:
            return span_distance(features.astype(np.float64), real)
        moments = Moments()
        moments.update(features)
        value, transport = distance_and_transport(
            moments.mean, moments.covariance, real.mean, real.covariance
        )
        influence = frechet_influence(
            pieces(features), moments.mean, moments.covariance, real.mean, transport
        )
        return value, influence

    @property
    def real_statistics(self) -> RealStatistics:
        """The statistics of the real samples; ValueError where there are none yet."""
        if self._real_statistics is None:
            raise ValueError(
                f"{type(self).__name__} has no real side: "
                "give the metric a `reference` file of mu and sigma, or its node a `real` file of images"
            )
        return self._real_statistics
