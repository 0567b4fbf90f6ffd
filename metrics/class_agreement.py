"""Does a classifier see the class that was asked for?"""

import torch
from torch import Tensor

from metrics.moments import finite_rows
from metrics.score import SampleMean


class ClassAgreement(SampleMean):
    """Share of samples, 0 to 1, whose most probable class is the one asked for."""

    inputs: tuple[str, ...] = ("logits", "condition")
    higher_is_better = True

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """1 or 0 for each of logits [B, K] and condition int64 [B].

        Raises ValueError for other shapes or types, NaN or Inf, and a class outside 0 .. K-1.
        """
        logits, condition = inputs
        rows = torch.from_numpy(finite_rows(logits, "logits"))
        asked = condition.cpu()
        if asked.dtype != torch.int64 or asked.shape != rows.shape[:1]:
            raise ValueError(
                f"condition must be int64 [{len(rows)}], one class a row of logits, "
                f"not {asked.dtype} {list(asked.shape)}"
            )
        classes = rows.shape[1]
        low, high = int(asked.min()), int(asked.max())
        if low < 0 or high >= classes:
            raise ValueError(
                f"condition has classes {low} to {high}, the classifier 0 to {classes - 1}: "
                "ask for classes it knows"
            )
        return rows.argmax(dim=1) == asked
