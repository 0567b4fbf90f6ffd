"""What the process of a shard says of a point that it has drawn, for the one that completes the experiment."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from smoothbench.storage.typed_json import Stored


@dataclass(frozen=True)
class DrawnPoint(Stored):
    """How often a batch of a point was split because it did not fit into memory, and why drawing failed if it did."""

    unwritten: ClassVar[tuple[str, ...]] = ("batches_halved", "failure")

    batches_halved: int = 0
    failure: str | None = None


def joined(parts: Iterable[DrawnPoint]) -> DrawnPoint:
    """Return what the shards of one point say together: all splits, and the first failure."""
    known = list(parts)
    failures = [part.failure for part in known if part.failure is not None]
    return DrawnPoint(sum(part.batches_halved for part in known), failures[0] if failures else None)
