"""A predictor that adds the last difference of output and input to the present input (EasyCache)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from smoothbench.caching.predictor import History


@dataclass(frozen=True)
class AddInput:
    """Predicts the output as the present input plus the last computed difference of output and input.

    Channels that the input does not have, as those of a predicted variance, are reused as they are; those that the
    output does not have, as those of a picture to be edited, are left out. They may lie on any axis.
    """

    depth: int = 1
    coordinate: str = "index"
    name = "add_input"
    version = 1

    def predict(self, history: History, inputs: History, now: float, given: Tensor) -> Tensor:
        """Predict an output, [B, C, ...] or [B, token, C], from the last one, and the input then and now."""
        output, moved = history[0][1], given - inputs[0][1]
        predicted = output.to(torch.result_type(output, moved), copy=True)
        common = tuple(slice(min(a, b)) for a, b in zip(output.shape, moved.shape, strict=True))
        predicted[common] += moved[common]
        return predicted
