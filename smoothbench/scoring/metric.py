"""A metric bound to its encoder and real samples, and the hashes that identify its scores and its features."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from metrics.score import BareScore, Score
from smoothbench.media.image_npz import ImageFile
from smoothbench.protocols import ComputesOnDevice, Config, PerSample
from smoothbench.sampling.out_of_memory import out_of_memory
from smoothbench.storage.feature_cache import Features
from smoothbench.storage.identity import describe, identity

log = logging.getLogger(__name__)

Inputs = Mapping[str, Tensor]
CALLED = ("name", "class", "version", "source")
CPU = torch.device("cpu")
BASELINE = "baseline."  # before an encoder's output: of the uncached sample of the same seed


@dataclass
class BoundMetric:
    """A metric together with its encoder and, if it needs them, its real samples.

    `device` is where its features are computed, if the metric can do that elsewhere than in main memory.
    """

    metric: Any
    encoder: Any
    encoder_key: str
    config_hash: str
    name_and_version: Mapping[str, Any]  # by name and version, as scores keep it
    real: ImageFile | None = None
    fitted: bool = False
    device: torch.device = CPU

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
        """Compute the features of a batch, [B, ...]; in main memory where the device has no room for that."""
        named = [inputs[name] for name in self.metric.inputs]
        if not isinstance(self.metric, PerSample):
            return named[0]
        if self.device != CPU and isinstance(self.metric, ComputesOnDevice):
            try:
                return self.metric.per_sample(*(each.to(self.device) for each in named))
            except Exception as error:
                if not out_of_memory(error):
                    raise
            log.warning("%s: out of memory on %s, computed on the CPU from here on", self.name, self.device)
            self.device = CPU
        return self.metric.per_sample(*(each.cpu() for each in named))

    @property
    def name(self) -> str:
        """The metric's own name."""
        return str(self.name_and_version["name"])


def bind_metric(
    node: Config, metric: Any, encoder: Any, real: ImageFile | None, device: torch.device = CPU
) -> BoundMetric:
    """Bind what the node of a metric has built, with the hashes that identify its scores and its features."""
    key = "" if encoder is None else identity(describe(encoder, node["encoder"]))
    known = describe(metric, node["metric"])
    called = {part: value for part, value in known.items() if part in CALLED}
    digest = real.digest if real else ""
    config_hash = identity({"metric": known, "encoder": key, "real": digest})
    return BoundMetric(metric, encoder, key, config_hash, called, real, device=device)


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


@runtime_checkable
class NeedsSamples(Protocol):
    """A metric that cannot score fewer than `fewest` samples; without that name, 2 are enough."""

    fewest: int
