"""The hashes of metrics in records of schema 2, made again of what their nodes build, and those that they have now."""

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
from smoothbench.scoring.metric import Gauge, gauge_of
from smoothbench.storage.identity import canonical, identity, source_of

# fingerprints of metrics and encoders at the last commits at which they were part of a hash
SOURCES = Path(__file__).with_name("old_sources.json")


@dataclass(frozen=True)
class Renamed:
    """A metric as it is now, with the hashes of then in `old`."""

    new: Gauge
    old: Gauge


class Metrics:
    """Metrics by their nodes, each built once; `refused` says of each that cannot be known why."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self._built: dict[str, Gauge] = {}
        self._parts: dict[str, Any] = {}

    def renamed(self, name: str, node: Config | None, config_hash: str) -> Renamed | None:
        """What a score's metric is called now; None where its hash does not come out again of its node."""
        if node is None:
            self.refused[name] = "no record says what it was"
            return None
        try:
            new = self._gauge(node)
        except (ValueError, ImportError, OSError) as error:
            self.refused[name] = f"it cannot be built here: {one_line(error)}"
            return None
        for old in _olds(node, new):
            if old.config_hash == config_hash:
                return Renamed(new, old)
        self.refused[name] = "its hash does not come out again: its code, its data or its encoder were others"
        return None

    def _gauge(self, node: Config) -> Gauge:
        key, node = canonical(node), moved(node)
        if key not in self._built:
            encoder = self._part(node["encoder"]) if "encoder" in node else None
            real = node.get("real")
            path = self._part(real) if isinstance(real, dict) else real
            self._built[key] = gauge_of(
                node, self._part(node["metric"]), encoder, ImageFile(path) if path else None
            )
        return self._built[key]

    def _part(self, node: Config) -> Any:
        key = canonical(node)
        if key not in self._parts:
            self._parts[key] = build(node, "metrics")
        return self._parts[key]


def _olds(node: Config, new: Gauge) -> Iterator[Gauge]:
    """A metric's hashes by the rules of schema 2: of nodes and digests, later of sources too."""
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


def _fingerprints(node: Config, part: Any) -> list[str]:
    """The fingerprints a part may have had: ours from the file, a user's class as its code is now."""
    return _sources().get(" ".join(sorted(set(_targets(node)))), [source_of(moved(node), part)])


@cache
def _sources() -> dict[str, list[str]]:
    content: dict[str, list[str]] = json.loads(SOURCES.read_text())
    return content


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from [node["_target_"]] if "_target_" in node else []
        for value in node.values():
            yield from _targets(value)
