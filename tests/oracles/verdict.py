"""An independent writing of the verdict: unbeaten methods from records and per-sample influences, by scipy."""

import gzip
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

Key = tuple[str, float]  # what is saved, and how many times


class Oracle:
    """Reads one results folder with one table, and answers for a score and a budget."""

    def __init__(self, folder: Path, scores: tuple[str, ...]) -> None:
        files = sorted(folder.glob("records/*.json.gz"))
        records = {
            path.name[: -len(".json.gz")]: json.loads(gzip.decompress(path.read_bytes())) for path in files
        }
        latency = json.loads((folder / "latency.json").read_text())["points"]
        self.points: dict[str, dict[str, Any]] = {}
        for stem, record in records.items():
            arrays = np.load(folder / "scores" / f"{stem}.npz")
            timed = latency.get(record["cell_id"])
            self.points[record["label"]] = record | {
                "influence": {score: arrays[score].astype(float) for score in scores if score in arrays},
                "time": 1 / _speedup(timed) if timed else np.inf,
            }
        self.base = next(point for point in self.points.values() if point["reference"])
        self.p = self._adjusted(scores)

    def offers(self, saving: str, factor: float) -> list[str]:
        """The label of each family's dearest point within a budget; of the same samples the first in order."""
        cost = {label: self._cost(point, saving) for label, point in self.points.items()}
        best: dict[str, str] = {}
        for label, point in sorted(self.points.items(), key=lambda item: item[1]["order"]):
            family = point["family"]
            of_reference = point["sample_id"] == self.base["sample_id"]
            within = not of_reference and cost[label] <= 1 / factor + 1e-6
            if within and (family not in best or cost[label] > cost[best[family]]):
                best[family] = label
        ordered = sorted(best.values(), key=lambda label: self.points[label]["order"])
        by_samples: dict[str, str] = {}
        for label in ordered:
            by_samples.setdefault(self.points[label]["sample_id"], label)
        return list(by_samples.values())

    def unbeaten(self, score: str, saving: str, factor: float) -> set[str]:
        """The labels that none is better than, p < 0.05 by Holm over all comparisons."""
        offers = [label for label in self.offers(saving, factor) if self.has(label, score)]
        return {a for a in offers if not any(self.better(b, a, score) for b in offers if b != a)}

    def better(self, a: str, b: str, score: str) -> bool:
        """Whether the first is shown to be better."""
        entry = self.points[a]["scores"][score]
        difference = entry["value"] - self.points[b]["scores"][score]["value"]
        return bool(self.p[score, frozenset((a, b))] < 0.05 and (difference > 0) == entry["higher_is_better"])

    def interval(self, a: str, b: str, score: str) -> tuple[float, float, float]:
        """The first minus the second, and its 95 % interval."""
        one, two = self.points[a], self.points[b]
        difference = one["scores"][score]["value"] - two["scores"][score]["value"]
        deviations = one["influence"][score] - two["influence"][score]
        half = stats.t.ppf(0.975, len(deviations) - 1) * stats.sem(deviations)
        return difference, difference - half, difference + half

    def has(self, label: str, score: str) -> bool:
        """Whether a point has a score."""
        return score in self.points[label]["scores"] and score in self.points[label]["influence"]

    def _cost(self, point: dict[str, Any], saving: str) -> float:
        if saving == "MACs":
            return float(point["cost"]["share"])
        return float(point["time"] / self.base["time"])

    def _adjusted(self, scores: tuple[str, ...]) -> dict[tuple[str, frozenset[str]], float]:
        budgets = [(saving, factor) for saving in ("MACs", "time") for factor in (1.5, 2, 3, 5)]
        pairs = {
            frozenset(pair)
            for budget in budgets
            if (offers := self.offers(*budget))
            for pair in combinations([*offers, self.base["label"]], 2)
        }
        raw = {
            (score, pair): self._p(*sorted(pair), score)
            for score in scores
            for pair in pairs
            if all(self.has(label, score) for label in pair)
        }
        adjusted, running = {}, 0.0
        for place, key in enumerate(sorted(raw, key=lambda key: raw[key])):
            running = max(running, min(1.0, raw[key] * (len(raw) - place)))
            adjusted[key] = running
        return adjusted

    def _p(self, a: str, b: str, score: str) -> float:
        difference, _, _ = self.interval(a, b, score)
        deviations = self.points[a]["influence"][score] - self.points[b]["influence"][score]
        error = stats.sem(deviations)
        return float(2 * stats.t.sf(abs(difference) / error, len(deviations) - 1)) if error else 1.0


def _speedup(timed: dict[str, Any]) -> float:
    """The median over rounds of the reference's seconds by those of the point."""
    return float(np.median(np.divide(timed["reference_seconds"], timed["seconds"])))
