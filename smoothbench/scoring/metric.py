"""A metric bound to its encoder and real samples, and the hashes that identify its scores and its features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from metrics.score import BareScore, Score
from smoothbench.media.image_npz import ImageFile
from smoothbench.protocols import Config, PerSample
from smoothbench.storage.feature_cache import Features
from smoothbench.storage.identity import describe, identity

Inputs = Mapping[str, Tensor]
CALLED = ("name", "class", "version", "source")
BASELINE = "baseline."  # before an encoder's output: of the uncached sample of the same seed


@dataclass
class BoundMetric:
    """A metric together with its encoder and, if it needs them, its real samples."""

    metric: Any
    encoder: Any
    encoder_key: str
    config_hash: str
    name_and_version: Mapping[str, Any]  # by name and version, as scores keep it
    real: ImageFile | None = None
    fitted: bool = False

    @property
    def paired(self) -> bool:
        """Whether the metric compares with the uncached samples."""
        return any(name == "baseline" or name.startswith(BASELINE) for name in self.metric.inputs)

    def key(self, baseline: str | None) -> str:
        """Return the hash of its features; metrics whose features are the same input as it is share them."""
        if isinstance(self.metric, PerSample):
            return identity(["per sample", self.config_hash, baseline if self.paired else None])
        return identity(["input", self.encoder_key, self.metric.inputs[0]])

    def features(self, inputs: Inputs) -> Tensor:
        """Compute the features of a batch, [B, ...]."""
        named = [inputs[name] for name in self.metric.inputs]
        return self.metric.per_sample(*named) if isinstance(self.metric, PerSample) else named[0]


def bind_metric(node: Config, metric: Any, encoder: Any, real: ImageFile | None) -> BoundMetric:
    """Bind what the node of a metric has built, with the hashes that identify its scores and its features."""
    key = "" if encoder is None else identity(describe(encoder, node["encoder"]))
    known = describe(metric, node["metric"])
    called = {part: value for part, value in known.items() if part in CALLED}
    digest = real.digest if real else ""
    return BoundMetric(
        metric, encoder, key, identity({"metric": known, "encoder": key, "real": digest}), called, real
    )


class Metric(Protocol):
    """A metric scores the inputs that it names: `samples`, `baseline`, `condition`, or outputs of its encoder.

    Its features are what `per_sample` computes (protocol `PerSample`), otherwise its one input as it is. A metric that
    `FitsReal` is fitted to the features of real samples first.
    """

    inputs: tuple[str, ...]
    higher_is_better: bool

    def score(self, rows: Features) -> Score | BareScore:
        """The score over all samples, [N, ...] in the order of their seeds; a `BareScore` has no interval."""
        ...


@runtime_checkable
class MeetsModel(Protocol):
    """A metric with a network of its own, or that reads prompts: it takes the model's device and prompts."""

    def meet(self, device: torch.device, texts: Sequence[str] | None) -> None:
        """Take both before the first sample; raises ValueError where the metric cannot score this model."""
        ...
