"""Which methods lead the published results at a budget: the first that a model is tuned with."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from smoothbench.config.budgets import name_at
from smoothbench.config.spec import Spec
from smoothbench.protocols import Config
from smoothbench.storage.files import read_json
from smoothbench.storage.record_files import record_files

NEAR = 0.15  # of a budget: how far the share of a published point may lie from it


@dataclass(frozen=True)
class Published:
    """A method by its configuration; a published point has its share of the MACs, its score and its model, too."""

    family: str
    policy: Config
    predictor: str | Config
    share: float = nan
    score: float = nan
    model: str = ""

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
    before those of others with the same metric. Methods that decide at run time, and fewer steps, are left out, and
    so are files that cannot be read.
    """
    nearest: dict[str, Published] = {}
    better = True
    for records in _folders(results):
        evals = next((record["cost"]["evals"] for record in records if record["reference"]), None)
        for record in records:
            entry = next(
                (e for name, e in record["scores"].items() if name.rpartition("@")[0] == metric), None
            )
            if entry is None or not _is_method(record, evals, at):
                continue
            better, method = entry["higher_is_better"], _published(record, entry["value"])
            before = nearest.get(method.family)
            if before is None or _rank(method, model, at) < _rank(before, model, at):
                nearest[method.family] = method
    of_model = [method for method in nearest.values() if method.model == model]
    return sorted(of_model or nearest.values(), key=lambda method: method.score, reverse=better)


def _rank(method: Published, model: str, at: float) -> tuple[bool, float]:
    return method.model != model, abs(method.share - at)


def _published(record: Config, score: float) -> Published:
    share, model = record["cost"]["share"], record["model"]["name"]
    family = re.sub(r" \S+=\S+", "", record["family"])  # some studies tell settings apart by it
    return Published(family, record["config"]["cache"], record["predictor"], share, score, model)


def _is_method(record: Config, evals: int | None, at: float) -> bool:
    """Whether a record is of a method whose schedule skips something, near the budget, at as many steps."""
    cost = record["cost"]
    skips = record["schedule"] is not None and not record["reference"] and not record["degenerate"]
    return skips and cost["evals"] == evals and abs(cost["share"] - at) <= NEAR


def _folders(results: Path) -> Iterator[list[Config]]:
    """The records of each published folder, as plain data: reading them with all checks would take seconds."""
    for folder in sorted(results.glob("*/records")):
        contents: list[Any] = [read_json(path) for path in record_files(folder.parent)]
        yield [record for record in contents if _is_whole(record)]


def _is_whole(record: Any) -> bool:
    try:
        nodes = [record[key] for key in ("cost", "scores", "model", "config")]
        return all(isinstance(node, dict) for node in nodes) and isinstance(nodes[-1].get("cache"), dict)
    except (KeyError, TypeError):
        return False
