"""Tag divergence: whether a tagger predicts the same for a sample as for real samples of the same prompt."""

import math

import torch
from torch import Tensor

from metrics.features import checked
from metrics.prompted import checked_table, digest, look_up
from metrics.score import SampleMean


class TagDivergence(SampleMean):
    """The mean over samples of KL(sample || reference), in nats, between a tagger's probabilities.

    Probabilities p are the softmax over all classes of the logits, which the encoder has averaged over windows. A
    sample's value is the sum over classes of p (log p - log(q + epsilon)), where q are the reference's probabilities
    for the same prompt. Definition and direction are those of stable-audio-metrics (Evans et al. 2024,
    arXiv 2402.04825). By epsilon a value may fall below 0 by at most K epsilon for K classes. `reference` holds
    logits [P, K], one vector per prompt. Raises ValueError for another reference, and for an epsilon that is not
    above 0.
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
        """Compute the divergences in nats, float64 [B], for logits [B, K] and prompt numbers int64 [B].

        Raises ValueError for other shapes, NaN or Inf, and prompts without a reference.
        """
        logits, condition = inputs[0].detach().cpu().double(), inputs[1]
        checked(logits.numpy(), "logits", self._log_q.shape[1], "the reference's")
        log_q = look_up(self._log_q, condition, "the reference")
        if len(log_q) != len(logits):
            raise ValueError(
                f"{len(logits)} rows of logits for {len(log_q)} prompts: give one prompt a sample"
            )
        log_p = torch.log_softmax(logits, dim=1)
        return (log_p.exp() * (log_p - log_q)).sum(dim=1)
