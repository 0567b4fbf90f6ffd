"""Which methods lead the published results at a budget: the first that a model is tuned with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoothbench.config.budgets import name_at
from smoothbench.config.spec import Spec
from smoothbench.protocols import Config
from smoothbench.storage.files import read_json
from smoothbench.storage.record import Record

NEAR = 0.15  # of a budget: how far the share of a published point may lie from it


@dataclass(frozen=True)
class Published:
    """A method as a published point has it: its configuration, its share of the MACs and its score there."""

    family: str
    policy: Config
    predictor: str | Config
    share: float
    score: float
    model: str

    def spec(self, base: Spec, at: float) -> Spec:
        """Return the spec of this method at a budget, with all else as in `base`."""
        named = name_at(self.family, at)
        return Spec(
            name=named,
            order=1,
            label=named,
            family=self.family,
            solver=base.solver,
            policy=self.policy,
            predictor=self.predictor,
            calibration=base.calibration,
            seeds=base.seeds,
            per_block=base.per_block,
            at=at,
        )


def leading(results: Path, metric: str, model: str, at: float) -> list[Published]:
    """Return the published methods by their score near a budget, the best first, one of each family.

    A method counts by the point whose share of the MACs is nearest to the budget; results of this very model come
    before those of others with the same metric. Methods that decide at run time, and fewer steps, are left out.
    """
    nearest: dict[str, Published] = {}
    better = True
    for records in _folders(results):
        reference = next((record for record in records if record.reference), None)
        for record in records:
            entry = next((e for name, e in record.scores.items() if name.rpartition("@")[0] == metric), None)
            if entry is None or reference is None or not _is_method(record, reference):
                continue
            better = entry.higher_is_better
            method = _published(record, entry.value)
            before = nearest.get(method.family)
            if abs(method.share - at) <= NEAR and (
                before is None or _rank(method, model, at) < _rank(before, model, at)
            ):
                nearest[method.family] = method
    own = [method for method in nearest.values() if method.model == model]
    return sorted(own or nearest.values(), key=lambda method: method.score, reverse=better)


def _rank(method: Published, model: str, at: float) -> tuple[bool, float]:
    return method.model != model, abs(method.share - at)


def _published(record: Record, score: float) -> Published:
    policy, predictor = record.config["cache"], record.predictor
    assert isinstance(policy, Mapping) and record.cost is not None
    node = predictor if isinstance(predictor, str) else dict(predictor)
    return Published(record.family, dict(policy), node, record.cost.share, score, record.model.name)


def _is_method(record: Record, reference: Record) -> bool:
    """Whether a record is of a method with a schedule that skips something, at the reference's steps."""
    if record.reference or record.schedule is None or record.degenerate:
        return False
    if record.cost is None or reference.cost is None or not isinstance(record.config.get("cache"), Mapping):
        return False
    return record.cost.evals == reference.cost.evals


def _folders(results: Path) -> Iterator[list[Record]]:
    """The records of each published folder; what cannot be read is left out."""
    for folder in sorted(results.glob("*/records")):
        yield [record for path in sorted(folder.glob("*.json")) if (record := _record(path)) is not None]


def _record(path: Path) -> Record | None:
    data: Any = read_json(path)
    try:
        return Record.from_json(data)
    except (ValueError, KeyError):
        return None
