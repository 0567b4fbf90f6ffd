"""Score samples: streams them through whatever metrics the configuration names."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from metrics.score import Score, interval, paired_difference
from smoothbench.build import build
from smoothbench.provenance import canonical, identity
from smoothbench.samples import Samples
from smoothbench.types import Config, Model

Inputs = Mapping[str, Tensor]


class Metric(Protocol):
    """Takes the inputs it names: `samples`, `baseline`, `condition`, or outputs of its encoder."""

    inputs: tuple[str, ...]
    higher_is_better: bool

    def update(self, *inputs: Tensor) -> None: ...

    def compute(self) -> Score: ...


class Scorer:
    """The metrics of an experiment; every encoder is built once and runs once a batch."""

    def __init__(self, nodes: Config, model: Model) -> None:
        self.nodes, self.model = nodes, model
        self._encoders: dict[str, Any] = {}
        for name in nodes:  # bad paths and missing extras show before the first sample
            self._metric(name)
            self._encoder(nodes[name])

    def names(self, count: int, reference: bool) -> dict[str, str]:
        """Of each score the name, with the sample count in it, and the metric it belongs to."""
        return {
            f"{n}@{count}": n for n in self.nodes if not (reference and "baseline" in self._metric(n).inputs)
        }

    def config_hash(self, name: str) -> str:
        """Identity of the metric's configuration, and of the files behind it where these have a digest."""
        parts = (self._encoder(self.nodes[name]), self._metric(name))
        return identity([self.nodes[name], *(getattr(part, "digest", None) for part in parts)])

    def higher_is_better(self, name: str) -> bool:
        """The metric's direction."""
        return self._metric(name).higher_is_better

    def scores(self, samples: Samples, baseline: Samples | None) -> dict[str, Score]:
        """All scores of a point; those that need a baseline are left out where there is none."""
        names = self.names(len(samples.seeds), reference=baseline is None)
        metrics = {score: self._metric(name) for score, name in names.items()}
        for batch in self._batches(samples, baseline):
            encoded: dict[str, Inputs] = {}
            for score, metric in metrics.items():
                inputs = {**batch, **self._encode(self.nodes[names[score]], batch["samples"], encoded)}
                metric.update(*(inputs[name] for name in metric.inputs))
        return {score: metric.compute() for score, metric in metrics.items()}

    def entry(self, name: str, score: Score, reference: Score | None) -> dict[str, Any]:
        """A score as it stands in a record; the difference to the reference is a paired one."""
        return {
            **_with_interval(score.value, score.se),
            "n": len(score.influence),
            "higher_is_better": self.higher_is_better(name),
            "flag": score.flag,
            "config_hash": self.config_hash(name),
            "delta": None if reference is None else _with_interval(*paired_difference(score, reference)),
        }

    def _batches(self, samples: Samples, baseline: Samples | None) -> Iterator[dict[str, Tensor]]:
        others = baseline.read() if baseline else None
        for seeds, images in samples.read():
            batch = {"samples": images, "condition": self.model.conditions(seeds)}
            yield batch | ({"baseline": next(others)[1]} if others else {})

    @torch.inference_mode()
    def _encode(self, node: Config, images: Tensor, done: dict[str, Inputs]) -> Inputs:
        encoder = self._encoder(node)
        if encoder is None:
            return {}
        key = canonical(node["encoder"])
        if key not in done:
            done[key] = {name: out.cpu() for name, out in encoder(images.to(self.model.device)).items()}
        return done[key]

    def _encoder(self, node: Config) -> Any:
        if "encoder" not in node:
            return None
        key = canonical(node["encoder"])
        if key not in self._encoders:
            self._encoders[key] = build(node["encoder"], "metrics: encoder").to(self.model.device)
        return self._encoders[key]

    def _metric(self, name: str) -> Metric:
        return build(self.nodes[name]["metric"], f"metrics.{name}")


def _with_interval(value: float, se: float) -> dict[str, float]:
    low, high = interval(value, se)
    return {"value": value, "se": se, "low": low, "high": high}
