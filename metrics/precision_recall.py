"""Precision and recall: the share of samples that look real, and the share of real data that samples cover."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from metrics.features import Features, FloatArray, at_least, checked
from metrics.neighbours import Indices, distance_tiles, nearest
from metrics.score import Score, mean_score


class _Balls(ABC):
    """A share of samples inside balls whose radius is the distance to the k-th neighbour (Kynkaanniemi et al. 2019).

    Distances are float64; ADM's evaluator has them in float16, which changes its shares by about 0.001.
    """

    inputs: tuple[str, ...] = ("features",)
    higher_is_better = True

    def __init__(self, k: int = 3) -> None:
        if k < 1:
            raise ValueError(f"k={k} neighbours: at least 1, ADM takes 3")
        self._k = k
        self._real: Features | None = None

    def fit(self, features: Features) -> None:
        """Take the features [M, d] of real samples; ValueError for other shapes, NaN or Inf, and M <= k."""
        self._real = checked(features, "features of real samples")
        at_least(len(features), self._k + 1, f"the real side of {type(self).__name__}")

    def score(self, features: Features) -> Score:
        """Score features [N, d]; ValueError as of `fit`, for another width, and before `fit`."""
        if self._real is None:
            name = type(self).__name__
            raise ValueError(f"{name} has no real side: give its node a `real` file of images")
        checked(features, "features", self._real.shape[1], "the real samples")
        at_least(len(features), 2, type(self).__name__)
        return self._share(features, self._real)

    @abstractmethod
    def _share(self, features: Features, real: Features) -> Score: ...


class Precision(_Balls):
    """The share of samples inside a ball around a real sample, with k = 3 as in ADM (section 3.1 of the paper).

    It is a mean over samples, so the influence is exact, for fixed real samples.
    """

    _radii: FloatArray
    name = "precision"
    version = 1

    def fit(self, features: Features) -> None:
        """Take the features [M, d] of real samples; ValueError for other shapes, NaN or Inf, and M <= k."""
        super().fit(features)
        self._radii = nearest(features, self._k)[0][:, -1]

    def _share(self, features: Features, real: Features) -> Score:
        inside = [(tile <= self._radii).any(axis=1) for _, tile in distance_tiles(features, real)]
        return mean_score(np.concatenate(inside))


class Recall(_Balls):
    """The share of real samples inside a ball around a sample, with k = 3 as in ADM (section 3.1 of the paper).

    The influence is the exact jackknife: leaving out a sample removes its ball and widens the balls of its
    neighbours. Real samples are fixed. Recall falls with fewer samples: compare at equal N.

    A score is always flagged, because most real samples are covered by several samples at once, which a jackknife
    counts several times: in simulations (d 8 to 64, N 200 to 1000) its standard error was 1.4 to 1.8 times the true
    standard deviation, and 2.3 to 2.7 times that of paired differences, so intervals were too wide. Where no single
    sample matters, as at a recall of 1, the standard error is 0.
    """

    name = "recall"
    version = 1

    def _share(self, features: Features, real: Features) -> Score:
        k = min(self._k, len(features) - 1)
        distances, places = nearest(features, min(k + 1, len(features) - 1))
        covered, change = 0, np.zeros(len(features))
        for _, tile in distance_tiles(real, features):
            balls = tile <= distances[:, k - 1]
            owners = balls.sum(axis=1)
            covered += int((owners > 0).sum())
            # without a (k+1)-th neighbour a ball cannot widen
            widened = (tile <= distances[:, -1]) & (owners < 2)[:, None]
            change += _left_out(balls, owners, widened, places[:, :k])
        influence = -(len(features) - 1) / len(real) * (change - change.mean())
        return Score(covered / len(real), influence, _caution(len(features), self._k))


def _left_out(
    balls: NDArray[np.bool_], owners: Indices, widened: NDArray[np.bool_], places: Indices
) -> FloatArray:
    """Count how many more of n real samples are covered once a sample is left out, for each of N samples.

    balls [n, N]: whether a sample's ball covers a real sample. widened [n, N]: whether it would if one of the
    sample's neighbours, `places` [N, k], were left out. owners [n]: the number of balls that cover a real sample.
    """
    count = balls.shape[1]
    covered, wide = np.nonzero(widened)
    # pairs of a real sample and a sample without which some wider ball covers it, each pair once
    pairs = np.unique((covered[:, None] * count + places[wide]).ravel())
    omitted, real = pairs % count, pairs // count
    only = np.argmax(balls, axis=1)  # the owner, where there is one alone
    gained = np.bincount(omitted[owners[real] == 0], minlength=count)
    lost = np.bincount(only[owners == 1], minlength=count)
    replaced = np.bincount(omitted[(owners[real] == 1) & (only[real] == omitted)], minlength=count)
    change: FloatArray = (gained - lost + replaced).astype(np.float64)
    return change


def _caution(count: int, k: int) -> str:
    if count < k + 2:
        return f"N={count} is too few for balls of k={k} neighbours"
    return "the jackknife overstates the spread of recall: intervals are about 1.6 times too wide, paired 2.5"
