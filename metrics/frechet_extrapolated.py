"""Frechet distance freed of the bias of a finite number of samples."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from metrics.frechet import FrechetDistance
from metrics.rows import Rows, few
from metrics.score import Score

Indices = NDArray[np.int64]
SIZES = 15
GOLDEN = (np.sqrt(5.0) - 1) / 2


class FrechetExtrapolated(FrechetDistance):
    """Frechet distance at 1 / N -> 0, by a straight line through it over 1 / N (Chong and Forsyth 2020).

    15 sizes from N / 2 to N, each measured on two nested chains of subsets: in a simulation (d = 8, N = 400)
    the standard error was 1.1 times that of the distance itself, with one chain 1.6 times. Subsets depend on
    N alone and take every class in its share, so that differences of two methods pair. The influence follows
    by linearity; N < 20 d is flagged, where the law of 1 / N is only a guess.
    """

    name = "fd_inf"
    version = 1

    def score(self, rows: Rows) -> Score:
        """The intercept for rows [N, d]; ValueError as for `FrechetDistance`, and for fewer than 3."""
        count = len(self.checked(rows, least=3))
        sizes = np.unique(np.linspace(max(2, count // 2), count, SIZES).astype(int))
        value, influence = 0.0, np.zeros(count)
        for size, weight in zip(sizes, _intercept_weights(1.0 / sizes), strict=True):
            for chosen, share in _subsets(count, size):
                part, of_rows = self.distance(rows[chosen])
                value += weight * share * part
                # each row is one of `size` in this part, one of `count` in the score
                influence[chosen] += weight * share * (of_rows - of_rows.mean()) * (count / size)
        return Score(float(value), influence, few(*rows.shape))


def _intercept_weights(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each ordinate in the intercept at 0 of the least-squares line."""
    away = x - x.mean()
    weights: NDArray[np.float64] = 1.0 / len(x) - x.mean() * away / (away @ away)
    return weights


def _subsets(count: int, size: int) -> Iterator[tuple[Indices, float]]:
    """Indices of the subsets of this size, each with its share in the mean over them.

    In the order of i times the golden ratio modulo 1 any beginning is spread evenly over 0 .. count-1 and
    over the remainders by any small number (the classes). The second chain begins at the order's middle,
    because a sample that is in all subsets of a chain cancels from its intercept.
    """
    order = np.argsort(np.arange(count) * GOLDEN % 1.0, kind="stable")
    chains = [order, np.roll(order, -(count // 2))] if size < count else [order]
    for chain in chains:
        yield np.sort(chain[:size]), 1.0 / len(chains)
