"""Inception Score from a classifier's logits."""

import numpy as np
from scipy.special import log_softmax, logsumexp

from metrics.rows import FloatArray, Rows, at_least, checked, pieces
from metrics.score import Score


class InceptionScore:
    """exp(mean KL(p(y|x) || p(y))) over all samples in one split (Salimans et al. 2016, section 4).

    From 1 to the number of classes. ADM reports the mean over splits of 5,000 samples: the same definition
    only up to N = 5,000.
    """

    inputs: tuple[str, ...] = ("logits",)
    higher_is_better = True

    def score(self, rows: Rows) -> Score:
        """The score of logits [N, K]; ValueError for another shape, NaN or Inf, and fewer than 2 samples.

        F = E[sum p log p] - sum pbar log pbar has the derivative kl_i - F towards sample i: the sample's own
        term, and its pull on pbar, of which the +1 of d(z log z) drops out as both sum to 1.
        The exponential scales that by IS.
        """
        at_least(len(checked(rows, "logits")), 2, "the Inception Score")
        log_marginal = _log_marginal(rows)
        kl = np.concatenate([_divergence(log_softmax(piece, axis=1), log_marginal) for piece in pieces(rows)])
        value = float(np.exp(kl.mean()))
        return Score(value, value * (kl - kl.mean()))


def _log_marginal(logits: Rows) -> FloatArray:
    """log of the mean probability of each class; in logarithms, as a class may underflow everywhere."""
    sums = [logsumexp(log_softmax(piece, axis=1), axis=0) for piece in pieces(logits)]
    marginal: FloatArray = logsumexp(sums, axis=0) - np.log(len(logits))
    return marginal


def _divergence(log_p: FloatArray, log_marginal: FloatArray) -> FloatArray:
    divergence: FloatArray = np.sum(np.exp(log_p) * (log_p - log_marginal), axis=1)
    return divergence
