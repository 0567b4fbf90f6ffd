"""Precision and recall: are the samples realistic, and is everything real among them?"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from metrics.neighbours import Indices, distance_tiles, nearest
from metrics.rows import FloatArray, Rows, at_least, checked
from metrics.score import Score, mean_score


class _Balls(ABC):
    """Shares of samples inside balls that reach to a sample's k-th neighbour (Kynkaanniemi et al. 2019).

    By distances in float64; ADM's own evaluator has them in float16, which moves its shares by about 0.001.
    """

    inputs: tuple[str, ...] = ("features",)
    higher_is_better = True

    def __init__(self, k: int = 3) -> None:
        if k < 1:
            raise ValueError(f"k={k} neighbours: at least 1, ADM takes 3")
        self._k = k
        self._real: Rows | None = None

    def fit(self, rows: Rows) -> None:
        """Take rows [M, d] of real samples; raises ValueError for others, NaN or Inf, and M <= k."""
        self._real = checked(rows, "features of real samples")
        at_least(len(rows), self._k + 1, f"the real side of {type(self).__name__}")

    def score(self, rows: Rows) -> Score:
        """The share for rows [N, d]; ValueError as for `fit`, for another width, and before `fit`."""
        if self._real is None:
            name = type(self).__name__
            raise ValueError(f"{name} has no real side: give its node a `real` file of images")
        checked(rows, "features", self._real.shape[1], "the real samples")
        at_least(len(rows), 2, type(self).__name__)
        return self._share(rows, self._real)

    @abstractmethod
    def _share(self, rows: Rows, real: Rows) -> Score: ...


class Precision(_Balls):
    """Share of samples inside a ball around a real sample, k = 3 as in ADM (section 3.1 of the paper).

    A mean over samples, so the influence is exact, for a fixed real side.
    """

    _radii: FloatArray
    name = "precision"
    version = 1

    def fit(self, rows: Rows) -> None:
        """Take rows [M, d] of real samples; raises ValueError for others, NaN or Inf, and M <= k."""
        super().fit(rows)
        self._radii = nearest(rows, self._k)[0][:, -1]

    def _share(self, rows: Rows, real: Rows) -> Score:
        inside = [(tile <= self._radii).any(axis=1) for _, tile in distance_tiles(rows, real)]
        return mean_score(np.concatenate(inside))


class Recall(_Balls):
    """Share of real samples inside a ball around a generated one, k = 3 as in ADM (section 3.1 of the paper).

    The influence is the exact jackknife: a sample that is left out takes its ball away and widens its
    neighbours' balls. The real side is fixed. Falls with fewer samples: compare at equal N.

    Always flagged, because recall is mostly the work of several samples at once, which a jackknife counts
    several times: in simulations (d 8 to 64, N 200 to 1000) its standard error was 1.4 to 1.8 times the true
    spread, and 2.3 to 2.7 times that of paired differences, so intervals were too wide. Where no single
    sample matters, as at a recall of 1, it comes out as 0.
    """

    name = "recall"
    version = 1

    def _share(self, rows: Rows, real: Rows) -> Score:
        k = min(self._k, len(rows) - 1)
        distances, places = nearest(rows, min(k + 1, len(rows) - 1))
        covered, change = 0, np.zeros(len(rows))
        for _, tile in distance_tiles(real, rows):
            balls = tile <= distances[:, k - 1]
            owners = balls.sum(axis=1)
            covered += int((owners > 0).sum())
            # with no (k+1)-th sample there is nothing to widen to
            widened = (tile <= distances[:, -1]) & (owners < 2)[:, None]
            change += _left_out(balls, owners, widened, places[:, :k])
        influence = -(len(rows) - 1) / len(real) * (change - change.mean())
        return Score(covered / len(real), influence, _caution(len(rows), self._k))


def _left_out(
    balls: NDArray[np.bool_], owners: Indices, widened: NDArray[np.bool_], places: Indices
) -> FloatArray:
    """How many more [N] of the real samples (rows of the masks) are covered once a sample is left out.

    balls: covered by whom [n, N]; widened: by whose ball if one of its neighbours, `places` [N, k], is
    left out; owners: the number of balls [n].
    """
    count = balls.shape[1]
    target, wide = np.nonzero(widened)
    # each pair of a real sample and one that, left out, lets a wider ball cover it; once, whatever the balls
    pairs = np.unique((target[:, None] * count + places[wide]).ravel())
    by, of = pairs % count, pairs // count
    alone = np.argmax(balls, axis=1)  # the only owner, where there is one
    gained = np.bincount(by[owners[of] == 0], minlength=count)
    lost = np.bincount(alone[owners == 1], minlength=count)
    kept = np.bincount(by[(owners[of] == 1) & (alone[of] == by)], minlength=count)
    change: FloatArray = (gained - lost + kept).astype(np.float64)
    return change


def _caution(count: int, k: int) -> str:
    if count < k + 2:
        return f"N={count} is too few for balls of k={k} neighbours"
    return "the jackknife overstates the spread of recall: intervals are about 1.6 times too wide, paired 2.5"
