"""Any metric of torchmetrics, computed on each sample by itself."""

from collections.abc import Sequence
from typing import Any

import torch
import torchmetrics
from torch import Tensor

from metrics.foreign import ForeignMetric, checked_cap
from metrics.sample_inputs import joined
from metrics.score import SampleMean


class OfTorchmetrics(ForeignMetric):
    """A metric whose numbers a metric of torchmetrics computes.

    `cap` bounds values on both sides, where the ratio of identical samples is infinite. `output` chooses one of several
    numbers, by key or place. The other arguments are those of `ForeignMetric`. Raises ValueError for what is no metric
    of torchmetrics, and other settings.
    """

    def __init__(
        self,
        metric: torchmetrics.Metric,
        inputs: Sequence[str] = ("samples", "baseline"),
        scale: str = "unit",
        dtype: str = "float32",
        rgb: bool = False,
        cap: float | None = None,
        output: str | int | None = None,
        higher_is_better: bool | None = None,
    ) -> None:
        super().__init__(checked_metric(metric, dtype), inputs, scale, dtype, rgb, higher_is_better)
        self.metric, self._cap, self._output = metric, checked_cap(cap), output


class TorchMetric(OfTorchmetrics, SampleMean):
    """The mean over samples of a torchmetrics metric, which is computed on each sample by itself.

    That is the metric's own value over all samples wherever it is a mean over samples, as LPIPS, SSIM and CLIPScore
    are; what pools errors over samples (PSNR) or compares whole sets is another number: see
    `metrics.torchmetric_corpus`. A metric that gives a number for each sample of a batch (`reduction: none`) gets whole
    batches, any other one sample after another. The arguments are those of `OfTorchmetrics`.
    """

    name = "torchmetric"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the numbers, float64 [B], of a batch; ValueError, with the metric's own reason, where it refuses."""
        arguments = self._given.by_sample(inputs)
        # a range that is not given is that of the batch, by which a sample's number would depend on its neighbours
        own_range = getattr(self.metric, "data_range", 1.0) is None
        groups = [[one] for one in arguments] if own_range else [arguments]
        values = torch.cat([self._of_group(group) for group in groups]).detach().cpu().double()
        return values if self._cap is None else values.clamp(-self._cap, self._cap)

    def _of_group(self, arguments: Sequence[Sequence[Any]]) -> Tensor:
        values = self._of_batch(arguments)
        return torch.stack([self._value(one) for one in arguments]) if values is None else values

    def _of_batch(self, arguments: Sequence[Sequence[Any]]) -> Tensor | None:
        """The number of each sample from one call, means over the frames of clips; None where there is one for all."""
        if getattr(self.metric, "reduction", "") not in ("none", None):
            return None
        result, frames = self._computed(joined(arguments)), len(arguments[0][0])
        if not isinstance(result, Tensor) or result.numel() != len(arguments) * frames:
            return None
        return result.reshape(len(arguments), frames).double().mean(1)

    def _value(self, arguments: Sequence[Any]) -> Tensor:
        return single_number(self._computed(arguments), self._output, self.metric)

    def _computed(self, arguments: Sequence[Any]) -> Any:
        """The metric of these arguments alone."""
        self.metric.reset()
        try:
            self._attempt(lambda: self.metric.update(*arguments))
            return self._attempt(self.metric.compute)
        finally:
            self.metric.reset()


def checked_metric(metric: Any, dtype: str) -> torchmetrics.Metric:
    """Return a metric of torchmetrics, which adds up in float64 where `dtype` is.

    Raises ValueError for another object, and for a metric that asks for `real` samples.
    """
    if not isinstance(metric, torchmetrics.Metric):
        raise ValueError(f"metric={metric!r:.60} is no metric of torchmetrics: give its class in _target_")
    if "real" in metric._update_signature.parameters:
        raise ValueError(
            f"{type(metric).__name__} asks of each batch whether it is real: take fid, or fd_* and kid_* of another "
            "encoder"
        )
    if dtype == "float64":
        for name, state in metric._defaults.items():
            if isinstance(state, Tensor) and state.is_floating_point():
                metric._defaults[name] = state.double()
        metric.reset()
    return metric


def single_number(result: Any, output: str | int | None, metric: Any) -> Tensor:
    """Return the one number of a result, or the one that `output` names; ValueError where there are several or none."""
    try:
        chosen = result if output is None else result[output]
    except (KeyError, IndexError, TypeError):
        raise ValueError(f"{type(metric).__name__} has no output {output!r:.60}") from None
    value = torch.as_tensor(chosen) if isinstance(chosen, Tensor | float | int) else None
    if value is None or value.numel() != 1:
        raise ValueError(f"{type(metric).__name__} gives several numbers: choose one by `output`")
    return value.reshape(())
