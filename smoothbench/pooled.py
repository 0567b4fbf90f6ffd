"""Several seed blocks, or parts of one, as one point: merged from what the metrics saw of each sample."""

from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from metrics.score import Score
from smoothbench.measure import Part, Scorer
from smoothbench.points import Point
from smoothbench.provenance import identity, provenance
from smoothbench.records import entry, save_scores
from smoothbench.store import Store

Record = dict[str, Any]
Range = tuple[int, int]  # of seeds, half-open


def pool(store: Store, scorer: Scorer, points: Sequence[Point], force: bool = False) -> None:
    """Write one record for each cell over all disjoint seed ranges that every one of the points has.

    The same scores as of one run over all these seeds, as every score is made again from its rows. Nothing
    is written where there is only one range. Records of fewer parts are replaced.
    """
    with store.lock("pool"):  # the last of several processes sees the parts of all
        found = store.records()
        cells = {point.cell_id: _parts(found, point, scorer) for point in points}
        ranges = _common(list(cells.values()))
        chosen = [[cells[point.cell_id][each] for each in ranges] for point in points]
        if len(ranges) < 2 or (not force and all(_pooled(store, scorer, parts) for parts in chosen)):
            return
        reference: dict[str, Score] | None = None
        for parts in tqdm(chosen, desc="pooling", unit="point", leave=False, disable=None):
            scores = scorer.scores([_part(record) for record in parts])
            _write(store, scorer, parts, scores, reference)
            _replace(store, found, parts)
            reference = reference or scores  # the first of the points


def _parts(records: Sequence[Record], point: Point, scorer: Scorer) -> dict[Range, Record]:
    """The records of a point's cell that have every score of now, by their seeds."""
    own = [r for r in records if r["cell_id"] == point.cell_id and not r["parts"]]
    done = [r for r in own if r["status"]["quality"] == "done" and r["per_block"] == point.spec.per_block]
    return {(r["seeds"][0][0], r["seeds"][0][1]): r for r in done if scorer.current(r)}


def _pooled(store: Store, scorer: Scorer, parts: Sequence[Record]) -> bool:
    """Whether just these parts were merged before, with every score of now."""
    record = store.record(parts[0]["name"], _pooled_id(parts))
    arrays = store.scores(parts[0]["name"], _pooled_id(parts))
    return record is not None and scorer.current(record) and arrays is not None


def _pooled_id(parts: Sequence[Record]) -> str:
    return identity([part["point_id"] for part in parts])


def _common(cells: list[dict[Range, Record]]) -> list[Range]:
    """The seed ranges that all have, the longest first where they overlap; in the order of seeds."""
    shared = set.intersection(*(set(cell) for cell in cells))
    chosen: list[Range] = []
    for start, stop in sorted(shared, key=lambda each: (each[0] - each[1], each)):
        if all(stop <= other[0] or other[1] <= start for other in chosen):
            chosen.append((start, stop))
    return sorted(chosen)


def _part(record: Record) -> Part:
    (start, stop), reference = record["seeds"][0], record["reference"]
    return record["sample_id"], None if reference else record["reference_id"], range(start, stop)


def _write(
    store: Store, scorer: Scorer, parts: list[Record], scores: dict[str, Score], pair: dict[str, Score] | None
) -> None:
    """A record like its parts', but for seeds, counts and scores."""
    first, count = parts[0], sum(part["num_samples"] for part in parts)
    names = scorer.names(count, reference=pair is None)
    entries = {
        s: entry(scorer, names[s], score, pair.get(s) if pair else None) for s, score in scores.items()
    }
    for score, name in names.items():
        of_part = [part["scores"].get(f"{name}@{part['num_samples']}") for part in parts]
        entries[score]["blocks"] = [each["value"] for each in of_part] if all(of_part) else None
    macs = sum(part["cost"]["macs"] * part["num_samples"] for part in parts) / count
    old = store.record(first["name"], _pooled_id(parts))
    record = first | {
        "point_id": _pooled_id(parts),
        "parts": [part["point_id"] for part in parts],
        "num_samples": count,
        "seeds": [part["seeds"][0] for part in parts],
        "cost": first["cost"] | {"macs": round(macs)},
        "scores": (old["scores"] if old else {}) | entries,
        "provenance": provenance(scorer.model.device) | {"parts": [part["provenance"] for part in parts]},
    }
    save_scores(store, record, scores)
    store.write_record(record)


def _replace(store: Store, found: Sequence[Record], parts: list[Record]) -> None:
    """Drop earlier records of fewer of the same parts."""
    ids = {part["point_id"] for part in parts}
    for record in found:
        if record["parts"] and set(record["parts"]) < ids:
            store.remove(record["name"], record["point_id"])
