"""Frechet distance of features to real ones."""

import numpy as np

from metrics.gaussians import distance_and_transport, frechet_influence
from metrics.moments import Moments
from metrics.reference import RealRows, Reference, Statistics
from metrics.rows import FloatArray, Rows, at_least, checked, few, pieces
from metrics.score import Score
from metrics.span import span_distance


class FrechetDistance:
    """Frechet distance of the encoder's features to real ones (Heusel et al. 2017).

    The real side is `reference`, an npz of mu and sigma (N - 1), or the rows given to `fit`, not both;
    `suffix` is what the names of the two arrays end in.
    Called FID only where the encoder is ADM's Inception. Flags N < 20 d, where the bias of about 1 / N
    is as large as the differences between methods: then only differences at equal N mean something.
    `digest` is the sha256 of the reference file. Raises ValueError for an unusable file.
    """

    inputs: tuple[str, ...] = ("features",)
    higher_is_better = False
    name = "fd"
    version = 1
    digested = ("reference",)

    def __init__(self, reference: str | None = None, suffix: str = "") -> None:
        self.reference_file = reference
        self._reference: Reference | None = None
        self.digest: str | None = None
        if reference is not None:
            statistics = Statistics(reference, suffix)
            self._reference, self.digest = statistics, statistics.digest

    def fit(self, rows: Rows) -> None:
        """Take rows [M, d] of real samples; raises ValueError for others, and beside a `reference`."""
        if self.reference_file is not None:
            raise ValueError(
                f"the metric has reference statistics {self.reference_file} and real samples: name only one of them"
            )
        self._reference = RealRows(rows)

    def score(self, rows: Rows) -> Score:
        """The distance of rows [N, d]; ValueError for another width, NaN or Inf, and fewer than 2 samples."""
        value, influence = self.distance(self.checked(rows, least=2))
        return Score(value, influence - influence.mean(), few(*rows.shape))

    def checked(self, rows: Rows, least: int) -> Rows:
        """The rows, if they can be scored; ValueError otherwise."""
        width, side = self.reference.mean.size, self.reference_file or "of the real samples"
        found = checked(rows, self.inputs[0], width, f"the reference statistics {side}")
        at_least(len(rows), least, type(self).__name__)
        return found

    def distance(self, rows: Rows) -> tuple[float, FloatArray]:
        """The distance and the influence [N], of mean of order 1 / N, as sigma divides by N - 1."""
        real = self.reference
        if len(rows) < rows.shape[1]:
            return span_distance(rows.astype(np.float64), real)
        own = Moments()
        own.update(rows)
        value, transport = distance_and_transport(own.mean, own.covariance, real.mean, real.covariance)
        return value, frechet_influence(pieces(rows), own.mean, own.covariance, real.mean, transport)

    @property
    def reference(self) -> Reference:
        """The real side; raises ValueError where there is none yet."""
        if self._reference is None:
            raise ValueError(
                f"{type(self).__name__} has no real side: "
                "give the metric a `reference` file of mu and sigma, or its node a `real` file of images"
            )
        return self._reference
