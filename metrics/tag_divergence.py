"""Does a tagger hear in a sample what it hears in real samples of the same prompt?"""

import math

import torch
from torch import Tensor

from metrics.prompted import checked_table, digest, rows_of
from metrics.rows import checked
from metrics.score import SampleMean


class TagDivergence(SampleMean):
    """Mean over samples of KL(sample || reference), in nats, of a tagger's probabilities.

    The softmax over all classes of the logits, which the encoder has averaged over windows; the sum over
    classes of p (log p - log(q + epsilon)), where q are the reference's of the same prompt. The definition
    of stable-audio-metrics (Evans et al. 2024, arXiv 2402.04825), also as to its direction; epsilon
    lets a value be below 0 by at most K epsilon for K classes. `reference`: logits [P, K], a row a prompt.
    Raises ValueError for another reference, and an epsilon that is not above 0.
    """

    inputs: tuple[str, ...] = ("logits", "condition")
    higher_is_better = False
    name = "tag_divergence"
    version = 1
    digested = ("reference",)

    def __init__(self, reference: Tensor, epsilon: float = 1e-6) -> None:
        if not (math.isfinite(epsilon) and epsilon > 0):
            raise ValueError(f"epsilon={epsilon} must be a finite number above 0, for instance 1e-6")
        table = checked_table(reference, "reference", ndim=2)
        self.digest = digest(table)
        self._log_q = (table.double().softmax(dim=1) + epsilon).log()

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Nats, float64 [B], for logits [B, K] and prompts int64 [B].

        Raises ValueError for other shapes, NaN or Inf, and prompts without a reference.
        """
        logits, condition = inputs[0].detach().cpu().double(), inputs[1]
        checked(logits.numpy(), "logits", self._log_q.shape[1], "the reference's")
        log_q = rows_of(self._log_q, condition, "the reference")
        if len(log_q) != len(logits):
            raise ValueError(
                f"{len(logits)} rows of logits for {len(log_q)} prompts: give one prompt a sample"
            )
        log_p = torch.log_softmax(logits, dim=1)
        return (log_p.exp() * (log_p - log_q)).sum(dim=1)
