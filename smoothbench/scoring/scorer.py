"""Score samples with whatever metrics the configuration names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from metrics.score import BareScore, Score
from smoothbench.config.declared_names import claim_name
from smoothbench.config.instantiate import build, require_attributes
from smoothbench.config.metric_nodes import check_metric
from smoothbench.errors import UsageError, one_line
from smoothbench.media.image_npz import ImageFile
from smoothbench.planning.point import Point
from smoothbench.protocols import Config, FitsReal, HasReferenceFile, Model, Prompted
from smoothbench.scoring.check_inputs import check_clips
from smoothbench.scoring.metric import BASELINE, CPU, BoundMetric, Inputs, MeetsModel, Metric, bind_metric
from smoothbench.scoring.read_ahead import batches
from smoothbench.scoring.real_images import BATCH, RealSamples
from smoothbench.scoring.refusal import refusal, sound
from smoothbench.storage.feature_cache import FeatureCache, Features, FeatureStreams, exact
from smoothbench.storage.identity import canonical, claim, identity
from smoothbench.storage.record import Record
from smoothbench.storage.sample_files import Samples

Part = tuple[str, str | None, Sequence[int]]  # a set of samples, the uncached ones (None: these are), seeds
T = TypeVar("T")


def part_of(point: Point, reference: Point) -> Part:
    """Return a point's samples beside the reference's; the reference itself has none beside it."""
    return point.sample_id, None if point is reference else reference.sample_id, point.spec.seeds


class Scorer:
    """The metrics of an experiment; encoders are built once and run once a batch, on the model's device.

    `on_device` false: metrics that could compute there too do not.
    """

    def __init__(
        self, nodes: Config, model: Model, observations: FeatureCache, on_device: bool = True
    ) -> None:
        self.nodes, self.model, self.observations = nodes, model, observations
        self._real, self._device = RealSamples(model), model.device if on_device else CPU
        self._encoders: dict[str, Any] = {}
        self._refused: dict[tuple[str, str], str] = {}  # by samples and key: why there are no rows
        self._names: dict[str, dict[str, type]] = {"metric": {}, "encoder": {}}
        # all at once, so that bad paths and missing extras show before the first sample
        self.metrics = {name: self._bind(name, node) for name, node in nodes.items()}

    def beside(self, observations: FeatureCache) -> "Scorer":
        """Return a scorer of the same metrics, encoders included, whose features lie elsewhere."""
        other = copy(self)
        other.observations, other._refused = observations, {}
        return other

    def score_names(self, count: int, reference: bool) -> dict[str, str]:
        """Map `<metric>@<count>` to metric names; paired metrics are left out for the reference."""
        paired = {name for name, bound_metric in self.metrics.items() if bound_metric.paired}
        return {f"{name}@{count}": name for name in self.metrics if not (reference and name in paired)}

    def current(self, record: Record) -> bool:
        """Whether a record has every score that is asked for, by the metric as it is now."""
        names = self.score_names(record.num_samples, record.reference)
        return all(
            score in record.scores and record.scores[score].config_hash == self.metrics[name].config_hash
            for score, name in names.items()
        )

    def metrics_to_do(self, part: Part, read: bool = False) -> list[str]:
        """Return the metrics whose features of these samples are not on disk; `read`: or are damaged there."""
        samples, baseline, seeds = part
        names = self.score_names(len(seeds), reference=baseline is None).values()
        keys = {name: self.metrics[name].key(baseline) for name in names}
        there = {key: self.observations.has(samples, key, seeds, read) for key in set(keys.values())}
        return [name for name, key in keys.items() if not there[key]]

    def extract(self, samples: Samples, baseline: Samples | None, names: Sequence[str]) -> None:
        """Stream samples through the encoders, and write the features that these metrics need.

        A metric or encoder that refuses the samples gets none: `scores` then says why.
        """
        if not names:
            return
        of = baseline.sample_id if baseline else None
        chosen = {self.metrics[name].key(of): self.metrics[name] for name in names}
        bar = _bar(batches(self.model, samples, baseline), "scoring", len(samples.batches()))
        reasons: dict[str, str] = {}
        with self.observations.streaming(samples.sample_id, samples.seeds) as streams:
            for batch in bar:
                for key, features in self.features_of(batch, chosen, reasons).items():
                    _stream(streams, key, features, reasons)
            reasons |= dict.fromkeys(streams.short(), "it has not one row of features a sample") | reasons
            for key in reasons:
                streams.drop(key)
        self._refused |= {(samples.sample_id, key): reason for key, reason in reasons.items()}

    def scores(self, parts: Sequence[Part]) -> tuple[dict[str, Score | BareScore], list[str]]:
        """Compute all scores over the samples of some parts, in their order; return also why others cannot be computed.

        Raises ValueError where features of a part are not on disk: `extract` them first.
        """
        names = self.score_names(sum(len(seeds) for _, _, seeds in parts), reference=parts[0][1] is None)
        rows: dict[tuple[str, ...], Features] = {}  # shared by the metrics that keep the same
        scores, reasons = dict[str, Score | BareScore](), list[str]()
        for score, name in names.items():
            keys = tuple(self.metrics[name].key(baseline) for _, baseline, _ in parts)
            places = [(samples, key) for (samples, _, _), key in zip(parts, keys, strict=True)]
            if refused := [self._refused[place] for place in places if place in self._refused]:
                reasons.append(f"{name}: {refused[0]}")
                continue
            if keys not in rows:
                rows[keys] = self._rows(parts, keys)
            try:
                scores[score] = sound(self._fitted(name).score(rows[keys]))
            except Exception as error:
                reasons.append(f"{name}: {refusal(error)}")
        return scores, reasons

    def _rows(self, parts: Sequence[Part], keys: Sequence[str]) -> Features:
        rows = []
        for (samples, _, seeds), key in zip(parts, keys, strict=True):
            part = self.observations.read(samples, key, seeds)
            if part is None:
                self.observations.drop(samples, key)
                raise ValueError(f"observations/{samples}/{key}.npz is damaged, now dropped: run it again")
            rows.append(part)
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def _fitted(self, name: str) -> Metric:
        bound_metric = self.metrics[name]
        if bound_metric.real is not None and not bound_metric.fitted:
            bound_metric.metric.fit(self._real_rows(name, bound_metric, bound_metric.real))
            bound_metric.fitted = True
        metric: Metric = bound_metric.metric
        return metric

    def features_of(
        self, batch: Inputs, metrics: Mapping[str, BoundMetric], reasons: dict[str, str]
    ) -> dict[str, Tensor]:
        """Extract the features of one batch, by key; the reason of a metric that refuses it is stored in `reasons`."""
        encoded: dict[tuple[str, str], Inputs] = {}
        rows = {}
        for key, bound_metric in metrics.items():
            if key in reasons:
                continue
            try:
                rows[key] = self._features(batch, bound_metric, encoded)
            except Exception as error:
                reasons[key] = refusal(error)
        return rows

    def _features(
        self, batch: Inputs, bound_metric: BoundMetric, encoded: dict[tuple[str, str], Inputs]
    ) -> Tensor:
        """Extract the features of a batch for one metric; `encoded` holds the outputs of encoders so far."""
        inputs = dict(batch)
        for of, prefix in (("samples", ""), ("baseline", BASELINE)):
            if bound_metric.encoder is not None and of in batch and (not prefix or bound_metric.paired):
                done = encoded.get((bound_metric.encoder_key, of)) or self._encode(
                    bound_metric.encoder, batch[of]
                )
                encoded[bound_metric.encoder_key, of] = done
                inputs |= {prefix + name: out for name, out in done.items()}
        return bound_metric.features(inputs)

    @torch.inference_mode()
    def _encode(self, encoder: Any, images: Tensor) -> Inputs:
        return dict(encoder(images.to(self.model.device)))

    def _real_rows(self, name: str, bound_metric: BoundMetric, real: ImageFile) -> Features:
        """Return the features of the real samples: from disk, or extracted now."""
        seeds, of, key = range(real.shape[0]), "real", identity([bound_metric.key(None), real.digest])
        rows = self.observations.read(of, key, seeds)
        if rows is None:
            bar = _bar(real.batches(BATCH), "real samples", -(-len(seeds) // BATCH))
            with self.observations.streaming(of, seeds) as streams:
                for batch in bar:
                    try:
                        features = self._features({"samples": batch}, bound_metric, {})
                    except KeyError as error:
                        raise ValueError(
                            f"metrics.{name}: real samples have no {error}: leave `real` out"
                        ) from None
                    streams.add(key, exact(features))
            rows = self.observations.read(of, key, seeds)
            if rows is None:
                raise ValueError(f"metrics.{name}: its features of real samples are not one a sample")
        return rows

    def _bind(self, name: str, node: Config) -> BoundMetric:
        where, encoder, real = f"metrics.{name}", None, None
        check_metric(where, name, node)
        if "encoder" in node:
            encoder = self._encoder(node["encoder"])
            claim(self._names["encoder"], encoder, f"{where}.encoder")  # functions build those of conf/
        metric = require_attributes(
            build(node["metric"], where), where, "inputs", "higher_is_better", "score"
        )
        check_clips(where, self.model, encoder, metric)
        self._introduce(where, metric)
        if "real" in node:
            path = build(node["real"], where) if isinstance(node["real"], dict) else node["real"]
            if not isinstance(path, str | Path):
                raise UsageError(f"{where}.real must be the path of an npz, not {path!r:.60}")
            real = self._real.file(Path(path), where)
            if not isinstance(metric, FitsReal):
                raise UsageError(f"{where}: {type(metric).__name__} takes no real samples: leave it out")
            self._real.check_size(real.path, where)
        if isinstance(metric, HasReferenceFile) and metric.reference_file is not None:
            self._real.check_size(metric.reference_file, where)
        claim_name(self._names["metric"], metric, "metrics", where)
        return bind_metric(node, metric, encoder, real, self._device)

    def _introduce(self, where: str, metric: Any) -> None:
        """Hand a metric the model's device and prompts if it takes them; UsageError where it cannot score the model."""
        if isinstance(metric, MeetsModel):
            texts = self.model.prompts.texts if isinstance(self.model, Prompted) else None
            try:
                metric.meet(self.model.device, texts)
            except ValueError as error:
                raise UsageError(f"{where}: {self.model.name}: {one_line(error)}") from None

    def _encoder(self, node: Config) -> Any:
        key = canonical(node)
        if key not in self._encoders:
            encoder = require_attributes(build(node, "metrics: encoder"), "metrics: encoder", "to", "forward")
            self._encoders[key] = encoder.to(self.model.device)
        return self._encoders[key]


def _bar(batches: Iterator[T], what: str, count: int) -> Iterable[T]:
    """Wrap batches in a progress bar, which shows only where they take more than 2 s."""
    bar: Iterable[T] = tqdm(batches, what, count, unit="batch", leave=False, disable=None, delay=2.0)
    return bar


def _stream(streams: FeatureStreams, key: str, features: Tensor, reasons: dict[str, str]) -> None:
    """Write the features of a batch; the reason of those that do not go with earlier ones is stored in `reasons`."""
    try:
        streams.add(key, exact(features))
    except ValueError as error:
        reasons[key] = one_line(error)
