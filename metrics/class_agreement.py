"""Class agreement: whether a classifier recognises the class that a sample was conditioned on."""

import torch
from torch import Tensor

from metrics.features import checked
from metrics.score import SampleMean


class ClassAgreement(SampleMean):
    """The share of samples, 0 to 1, whose most probable class is the one that they were conditioned on."""

    inputs: tuple[str, ...] = ("logits", "condition")
    higher_is_better = True
    name = "class_agreement"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Return 1.0 where the class agrees, else 0.0: float64 [B], for logits [B, K] and classes int64 [B].

        Raises ValueError for other shapes or types, NaN or Inf, and a class outside 0 .. K-1.
        """
        logits, condition = (tensor.detach().cpu() for tensor in inputs)
        checked(logits.double().numpy(), "logits")
        if condition.dtype != torch.int64 or condition.shape != logits.shape[:1]:
            raise ValueError(
                f"condition must be int64 [{len(logits)}], one class a row of logits, "
                f"not {condition.dtype} {list(condition.shape)}"
            )
        classes = logits.shape[1]
        low, high = int(condition.min()), int(condition.max())
        if low < 0 or high >= classes:
            raise ValueError(
                f"condition has classes {low} to {high}, the classifier 0 to {classes - 1}: "
                "ask for classes it knows"
            )
        return (logits.argmax(dim=1) == condition).double()
