"""Inception Score from a classifier's logits."""

import numpy as np
from scipy.special import log_softmax, logsumexp

from metrics.rows import FloatArray, Rows, at_least, checked, pieces
from metrics.score import Score


class InceptionScore:
    """exp(mean KL(p(y|x) || p(y))), from 1 to the number of classes (Salimans et al. 2016, section 4).

    The mean over consecutive splits of `split` samples in the order of the rows, as ADM's evaluation has it
    with 5,000; a last one that is shorter counts as much as the others, and is flagged. None: all samples
    are one split. Raises ValueError for a split below 2.
    """

    inputs: tuple[str, ...] = ("logits",)
    higher_is_better = True
    name = "is"
    version = 1

    def __init__(self, split: int | None = None) -> None:
        if split is not None and split < 2:
            raise ValueError(f"split={split} samples: at least 2, ADM takes 5000; null takes all at once")
        self._split = split

    def score(self, rows: Rows) -> Score:
        """The score of logits [N, K]; ValueError for another shape, NaN or Inf, and fewer than 2 samples.

        A split of n samples is one of S in the mean, so an influence on it counts N / (S n).
        """
        count = len(checked(rows, "logits"))
        at_least(count, 2, "the Inception Score")
        size = self._split or count
        parts = [_of_split(rows[start : start + size]) for start in range(0, count, size)]
        pushes = [count / (len(parts) * len(influence)) * influence for _, influence in parts]
        short = count % size
        flag = f"the last of {len(parts)} splits has {short} of {size} samples" if short else None
        return Score(float(np.mean([value for value, _ in parts])), np.concatenate(pushes), flag)


def _of_split(rows: Rows) -> tuple[float, FloatArray]:
    """The score of one split and the influence [n] on it.

    F = E[sum p log p] - sum pbar log pbar has the derivative kl_i - F towards sample i: the sample's own
    term, and its pull on pbar, of which the +1 of d(z log z) drops out as both sum to 1.
    The exponential scales that by IS.
    """
    log_marginal = _log_marginal(rows)
    kl = np.concatenate([_divergence(log_softmax(piece, axis=1), log_marginal) for piece in pieces(rows)])
    value = float(np.exp(kl.mean()))
    return value, value * (kl - kl.mean())


def _log_marginal(logits: Rows) -> FloatArray:
    """log of the mean probability of each class; in logarithms, as a class may underflow everywhere."""
    sums = [logsumexp(log_softmax(piece, axis=1), axis=0) for piece in pieces(logits)]
    marginal: FloatArray = logsumexp(sums, axis=0) - np.log(len(logits))
    return marginal


def _divergence(log_p: FloatArray, log_marginal: FloatArray) -> FloatArray:
    divergence: FloatArray = np.sum(np.exp(log_p) * (log_p - log_marginal), axis=1)
    return divergence
