"""Inception Score from a classifier's logits."""

import numpy as np
from scipy.special import log_softmax, logsumexp
from torch import Tensor

from metrics.moments import finite_rows
from metrics.score import FloatArray, Score


class InceptionScore:
    """exp(mean KL(p(y|x) || p(y))) over all samples in one split (Salimans et al. 2016, section 4).

    From 1 to the number of classes. ADM reports the mean over splits of 5,000 samples: the same definition
    only up to N = 5,000.
    """

    inputs: tuple[str, ...] = ("logits",)
    higher_is_better = True

    def __init__(self) -> None:
        self._log_p: list[FloatArray] = []

    def update(self, *inputs: Tensor) -> None:
        """Add logits [B, K]; raises ValueError for another shape or K, and for NaN or Inf."""
        (logits,) = inputs
        rows = finite_rows(logits, "logits")
        if self._log_p and rows.shape[1] != self._log_p[0].shape[1]:
            raise ValueError(
                f"logits of {rows.shape[1]} classes after {self._log_p[0].shape[1]}: use one classifier"
            )
        self._log_p.append(log_softmax(rows, axis=1))

    def compute(self) -> Score:
        """The score over all samples so far; raises ValueError for fewer than 2.

        F = E[sum p log p] - sum pbar log pbar has the derivative kl_i - F towards sample i: the sample's own
        term, and its pull on pbar, of which the +1 of d(z log z) drops out as both sum to 1.
        The exponential scales that by IS.
        """
        log_p = np.concatenate(self._log_p or [np.empty((0, 1))])
        if len(log_p) < 2:
            raise ValueError(f"the Inception Score needs at least 2 samples, has {len(log_p)}: add samples")
        # in logarithms, so that a class that underflows gives 0, not 0 * inf
        log_marginal = logsumexp(log_p, axis=0) - np.log(len(log_p))
        kl = np.sum(np.exp(log_p) * (log_p - log_marginal), axis=1)
        value = float(np.exp(kl.mean()))
        return Score(value, value * (kl - kl.mean()))
