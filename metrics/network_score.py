"""Any network that gives one number for each sample, as a metric."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metrics.foreign import ForeignMetric
from metrics.sample_inputs import joined
from metrics.score import SampleMean


class NetworkScore(ForeignMetric, SampleMean):
    """The mean over samples of the number that a network gives for each: a reward, a judgement, a distance.

    `network` is called with the inputs of a batch and returns [B] or [B, 1]; for clips of frames it is called with all
    frames, and their numbers are averaged. The other arguments are those of `ForeignMetric`. Raises ValueError for what
    is no module, and other settings.
    """

    name = "network_score"
    version = 1

    def __init__(
        self,
        network: nn.Module,
        inputs: Sequence[str] = ("samples",),
        scale: str = "unit",
        dtype: str = "float32",
        rgb: bool = False,
        higher_is_better: bool | None = None,
    ) -> None:
        if not isinstance(network, nn.Module):
            raise ValueError(
                f"network={network!r:.60} is no torch.nn.Module: give its class or loader in _target_"
            )
        super().__init__(network, inputs, scale, dtype, rgb, higher_is_better)
        self.network = network

    @torch.inference_mode()
    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the numbers, float64 [B], of a batch; ValueError where the network refuses it or gives no numbers."""
        arguments = self._given.by_sample(inputs)
        frames = len(arguments[0][0])
        numbers = self._attempt(lambda: self.network(*joined(arguments)))
        if not isinstance(numbers, Tensor) or numbers.numel() != len(arguments) * frames:
            shape = list(numbers.shape) if isinstance(numbers, Tensor) else type(numbers).__name__
            raise ValueError(
                f"{type(self.network).__name__} gives {shape} for {len(arguments) * frames} pictures: it must give one "
                "number each"
            )
        return numbers.detach().cpu().double().reshape(len(arguments), frames).mean(1)
