"""The Inception Score of a classifier's logits."""

import numpy as np
from scipy.special import log_softmax, logsumexp

from metrics.features import Features, FloatArray, at_least, checked, pieces
from metrics.score import Score


class InceptionScore:
    """The Inception Score exp(mean KL(p(y|x) || p(y))), from 1 to the number of classes (Salimans et al. 2016).

    It is the mean over consecutive splits of `split` samples, as in ADM's evaluation with 5,000; a last split that is
    shorter counts as much as the others, and is flagged. With None all samples are one split. Section 4 of the paper.
    Raises ValueError for a split below 2.
    """

    inputs: tuple[str, ...] = ("logits",)
    higher_is_better = True
    name = "is"
    version = 1

    def __init__(self, split: int | None = None) -> None:
        if split is not None and split < 2:
            raise ValueError(f"split={split} samples: at least 2, ADM takes 5000; null takes all at once")
        self._split = split

    def score(self, logits: Features) -> Score:
        """Score logits [N, K]; ValueError for another shape, NaN or Inf, and fewer than 2 samples.

        A split of n samples is one of S in the mean, so the influence on its score counts N / (S n).
        """
        count = len(checked(logits, "logits"))
        at_least(count, 2, "the Inception Score")
        size = self._split or count
        splits = [_split_score(logits[start : start + size]) for start in range(0, count, size)]
        influences = [count / (len(splits) * len(influence)) * influence for _, influence in splits]
        short = count % size
        flag = f"the last of {len(splits)} splits has {short} of {size} samples" if short else None
        return Score(float(np.mean([value for value, _ in splits])), np.concatenate(influences), flag)


def _split_score(logits: Features) -> tuple[float, FloatArray]:
    """Return the score of one split and the influence [n] on it.

    F = E[sum p log p] - sum pbar log pbar has the derivative kl_i - F towards sample i. It consists of the sample's
    own term and of its effect on pbar, where the +1 of d(z log z) cancels because p and pbar both sum to 1.
    The exponential scales the derivative by the score.
    """
    log_marginal = _log_marginal(logits)
    kl = np.concatenate([_divergence(log_softmax(piece, axis=1), log_marginal) for piece in pieces(logits)])
    value = float(np.exp(kl.mean()))
    return value, value * (kl - kl.mean())


def _log_marginal(logits: Features) -> FloatArray:
    """The log of the mean probability of each class; in logarithms, because a class may underflow in all samples."""
    sums = [logsumexp(log_softmax(piece, axis=1), axis=0) for piece in pieces(logits)]
    marginal: FloatArray = logsumexp(sums, axis=0) - np.log(len(logits))
    return marginal


def _divergence(log_p: FloatArray, log_marginal: FloatArray) -> FloatArray:
    divergence: FloatArray = np.sum(np.exp(log_p) * (log_p - log_marginal), axis=1)
    return divergence
