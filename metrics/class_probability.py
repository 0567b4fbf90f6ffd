"""Class probability: how sure a classifier is that a sample shows the class that it was conditioned on."""

from torch import Tensor
from torch.nn.functional import log_softmax

from metrics.class_agreement import ClassAgreement


class ClassLogProbability(ClassAgreement):
    """The mean over samples of the log-probability, in nats, that a classifier gives to the sample's own class.

    It is a reward of samples of a class: unlike the share of recognised ones it tells any two samples apart.
    """

    name = "class_log_probability"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the log-probabilities, float64 [B], for logits [B, K] and classes int64 [B].

        Raises ValueError as `ClassAgreement` does.
        """
        super().per_sample(*inputs)
        logits, condition = (tensor.detach().cpu() for tensor in inputs)
        return log_softmax(logits.double(), dim=1).gather(1, condition[:, None])[:, 0]
