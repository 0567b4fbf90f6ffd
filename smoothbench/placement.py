"""Where a part computes: the capabilities that say what is on a device, and for how long."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ComputesOnDevice(Protocol):
    """A metric whose `per_sample` computes where its inputs lie: on the model's device, if `score_on` allows it.

    The attribute `on_device` is a mark; metrics without it get their inputs in main memory.
    """

    on_device: bool

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Return the features [B, ...] of a batch, on the device of the inputs."""


@runtime_checkable
class EmbedsPrompts(Protocol):
    """A model that can encode the prompts of many batches at once, so that its text encoder leaves the device once."""

    def embed(self, batches: Sequence[Sequence[int]]) -> None:
        """Prepare for samples of these batches of seeds; prompts that are known are not encoded again."""
