"""Compute the hashes of metrics in records of schema 2 again from their nodes, and the hashes that they have now."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from smoothbench.config.instantiate import build
from smoothbench.config.moved import moved
from smoothbench.errors import one_line
from smoothbench.media.image_npz import ImageFile
from smoothbench.protocols import Config, Digested
from smoothbench.scoring.metric import BoundMetric, bind_metric
from smoothbench.storage.identity import canonical, identity, source_of

# fingerprints of metrics and encoders at the last commits at which they were part of a hash
SOURCES = Path(__file__).with_name("old_sources.json")


@dataclass(frozen=True)
class Renamed:
    """A metric with its present hashes (`new`) and its hashes by schema 2 (`old`)."""

    new: BoundMetric
    old: BoundMetric


class Metrics:
    """Builds metrics from their nodes, each one once; `refused` maps those that cannot be identified to the reason."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self._built: dict[str, BoundMetric] = {}
        self._plugins: dict[str, Any] = {}

    def renamed(self, name: str, node: Config | None, config_hash: str) -> Renamed | None:
        """Return the metric of a score; None where its old hash does not come out again from its node."""
        if node is None:
            self.refused[name] = "no record says what it was"
            return None
        try:
            new = self._bind(node)
        except (ValueError, ImportError, OSError) as error:
            self.refused[name] = f"it cannot be built here: {one_line(error)}"
            return None
        for old in _olds(node, new):
            if old.config_hash == config_hash:
                return Renamed(new, old)
        self.refused[name] = "its hash does not come out again: its code, its data or its encoder were others"
        return None

    def _bind(self, node: Config) -> BoundMetric:
        key, node = canonical(node), moved(node)
        if key not in self._built:
            encoder = self._plugin(node["encoder"]) if "encoder" in node else None
            real = node.get("real")
            path = self._plugin(real) if isinstance(real, dict) else real
            self._built[key] = bind_metric(
                node, self._plugin(node["metric"]), encoder, ImageFile(path) if path else None
            )
        return self._built[key]

    def _plugin(self, node: Config) -> Any:
        key = canonical(node)
        if key not in self._plugins:
            self._plugins[key] = build(node, "metrics")
        return self._plugins[key]


def _olds(node: Config, new: BoundMetric) -> Iterator[BoundMetric]:
    """Yield a metric with its hashes by the rules of schema 2: of nodes and digests, later of sources too."""
    real = new.real.digest if new.real else ""
    digest, encoder_digest = (
        part.digest if isinstance(part, Digested) else None for part in (new.metric, new.encoder)
    )
    for metric_digest in {digest, None}:
        key = "" if new.encoder is None else identity([node["encoder"], encoder_digest])
        yield replace(new, encoder_key=key, config_hash=identity([node, encoder_digest, metric_digest, real]))
        keys = [key]
        if new.encoder is not None:
            fingerprints = _fingerprints(node["encoder"], new.encoder)
            keys = [identity([node["encoder"], encoder_digest, source]) for source in fingerprints]
        for key, source in product(keys, _fingerprints(node["metric"], new.metric)):
            metric = [node["metric"], metric_digest, source]
            yield replace(new, encoder_key=key, config_hash=identity([metric, key, real]))


def _fingerprints(node: Config, plugin: Any) -> list[str]:
    """The fingerprints that a plug-in may have had: of ours those in the file, of a user's class the present one."""
    return _sources().get(" ".join(sorted(set(_targets(node)))), [source_of(moved(node), plugin)])


@cache
def _sources() -> dict[str, list[str]]:
    content: dict[str, list[str]] = json.loads(SOURCES.read_text())
    return content


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from [node["_target_"]] if "_target_" in node else []
        for value in node.values():
            yield from _targets(value)
