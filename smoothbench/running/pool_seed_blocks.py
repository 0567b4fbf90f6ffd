"""Merge seed blocks, or parts of one, to one point, from the features that metrics have of every sample."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from tqdm import tqdm

from metrics.score import BareScore, Score
from smoothbench.errors import MetricsFailed, one_line
from smoothbench.planning.point import Point
from smoothbench.protocols import BLOCK
from smoothbench.running.mean_cost import mean_budget, mean_cost
from smoothbench.scoring.score_entry import entry, save_scores
from smoothbench.scoring.scorer import Part, Scorer
from smoothbench.storage.identity import identity
from smoothbench.storage.provenance import provenance
from smoothbench.storage.record import Record, SeedRange
from smoothbench.storage.results_folder import Store
from smoothbench.storage.score_entry import ScoreEntry

log = logging.getLogger(__name__)


def pool(store: Store, scorer: Scorer, points: Sequence[Point], force: bool = False) -> None:
    """Write one record for each cell over all complete seed blocks of which every point has all parts.

    Its scores are those of one run over all these seeds, since every score is computed again from its features.
    Nothing is written where there is only one range. Records of fewer parts are replaced.
    """
    with store.lock("pool"):  # the last of several processes sees the parts of all
        records = store.records()
        uncached = _parts(records, points[0], scorer)
        pairs = {seeds: record.sample_id for seeds, record in uncached.items()}
        cells = [uncached, *(_parts(records, point, scorer, pairs) for point in points[1:])]
        ranges = _common(cells, points[0].spec.per_block)
        chosen = [[cell[seeds] for seeds in ranges] for cell in cells]
        if len(ranges) < 2 or (not force and all(_pooled(store, scorer, parts) for parts in chosen)):
            return
        reference: dict[str, Score | BareScore] | None = None
        for parts in tqdm(chosen, desc="pooling", unit="point", leave=False, disable=None):
            scores, reasons = _scored(scorer, parts)
            if reasons:
                raise MetricsFailed(f"pooling {parts[0].name}: {'; '.join(reasons)}")
            _write(store, scorer, parts, scores, reference)
            reference = reference or scores  # the first of the points
        _replace(store, chosen)


def _parts(
    records: Sequence[Record], point: Point, scorer: Scorer, pairs: dict[SeedRange, str] | None = None
) -> dict[SeedRange, Record]:
    """The records of a point's cell, by seeds, that have all scores of the metrics as they are now, and their features.

    `pairs`: the samples that each range must be paired with; None for the records of the reference.
    """
    parts = {}
    for record in records:
        seeds = record.seeds[0]
        of_point = record.cell_id == point.cell_id and record.per_block == point.spec.per_block
        done = record.status.quality == "done" and record.cost is not None
        scored = done and not record.parts and scorer.current(record)
        paired = record.reference if pairs is None else record.reference_id == pairs.get(seeds)
        if not (of_point and scored and paired and record.reference == (pairs is None)):
            continue
        if scorer.metrics_to_do(_part(record)):
            log.warning("%s: features of seeds %d-%d are lost: run them again", record.name, *seeds)
            continue
        parts[seeds] = record
    return parts


def _scored(scorer: Scorer, parts: Sequence[Record]) -> tuple[dict[str, Score | BareScore], list[str]]:
    """Scores, and the reasons why others are missing; damaged features are such a reason."""
    try:
        return scorer.scores([_part(record) for record in parts])
    except ValueError as error:
        return {}, [one_line(error)]


def _pooled(store: Store, scorer: Scorer, parts: Sequence[Record]) -> bool:
    """Whether just these parts, as they are now, were merged before, with all scores of the metrics as they are now."""
    record = store.record(parts[0].name, _pooled_id(parts))
    arrays = store.scores(parts[0].name, _pooled_id(parts))
    if record is None or arrays is None or not scorer.current(record):
        return False
    if (record.cost, record.budget) != (
        mean_cost(parts),
        mean_budget(parts),
    ):  # as earlier versions pooled them
        return False
    return all(_is_of(score, name, parts) for name, score in record.scores.items())


def _is_of(entry: ScoreEntry, score: str, parts: Sequence[Record]) -> bool:
    """Whether a pooled score was made of the parts as they are now."""
    return entry.blocks == _blocks(score, parts) and entry.blocks is not None


def _blocks(score: str, parts: Sequence[Record]) -> tuple[float, ...] | None:
    """A score's value in each part; None where one has none."""
    metric = score.partition("@")[0]
    entries = [part.scores.get(f"{metric}@{part.num_samples}") for part in parts]
    values = tuple(entry.value for entry in entries if entry)
    return values if len(values) == len(parts) else None


def _pooled_id(parts: Sequence[Record]) -> str:
    return identity([part.point_id for part in parts])


def _common(cells: list[dict[SeedRange, Record]], per_block: int) -> list[SeedRange]:
    """The seed ranges that all cells have and that make up complete blocks, in the order of seeds, as few as possible.

    A block with a missing part is left out: its worker failed, or is not there yet.
    """
    shared = sorted(set.intersection(*(set(cell) for cell in cells)))
    chosen: list[SeedRange] = []
    for block in sorted({start // BLOCK for start, _ in shared}):
        first = block * BLOCK
        chains: dict[int, list[SeedRange]] = {first: []}  # by the seed that is to come next
        for start, stop in shared:
            if start in chains and (stop not in chains or len(chains[start]) + 1 < len(chains[stop])):
                chains[stop] = [*chains[start], (start, stop)]
        chosen += chains.get(first + per_block, [])
        if first + per_block not in chains and len(shared) > 1:
            log.info("seed block %d is not pooled: parts of it are missing", block)
    return chosen


def _part(record: Record) -> Part:
    return record.sample_id, None if record.reference else record.reference_id, range(*record.seeds[0])


def _write(
    store: Store,
    scorer: Scorer,
    parts: list[Record],
    scores: dict[str, Score | BareScore],
    pair: dict[str, Score | BareScore] | None,
) -> None:
    """Write a record that is like its parts but for seeds, counts and scores."""
    first, count = parts[0], sum(part.num_samples for part in parts)
    names = scorer.score_names(count, reference=pair is None)
    entries = {
        score: replace(
            entry(scorer, names[score], value, pair.get(score) if pair else None),
            blocks=_blocks(score, parts),
        )
        for score, value in scores.items()
    }
    old = store.record(first.name, _pooled_id(parts))
    earlier = old.scores if old else {}
    still_valid = {score: known for score, known in earlier.items() if _is_of(known, score, parts)}
    record = replace(
        first,
        point_id=_pooled_id(parts),
        parts=tuple(part.point_id for part in parts),
        num_samples=count,
        seeds=tuple(part.seeds[0] for part in parts),
        cost=mean_cost(parts),
        budget=mean_budget(parts),
        degenerate=all(part.degenerate for part in parts),
        scores=still_valid | entries,
        config={**first.config, "metrics": scorer.nodes},
        provenance={**provenance(scorer.model.device), "parts": [part.provenance for part in parts]},
        formerly=old.formerly if old else None,  # not that of the first part, nor a null in its place
        absent=None if first.absent is None else first.absent | {"formerly"},
    )
    save_scores(store, record, scores)
    store.write_record(record)


def _replace(store: Store, chosen: Sequence[Sequence[Record]]) -> None:
    """Drop earlier records of fewer of the same parts; the reference's stay while another needs them."""
    now = {part.point_id for parts in chosen for part in parts}
    old = [record for record in store.records() if record.parts]
    written = {_pooled_id(parts) for parts in chosen}
    smaller = [record for record in old if set(record.parts) <= now and record.point_id not in written]
    left = [record for record in old if record not in smaller and not record.reference]
    needed = {(record.reference_id, record.seeds) for record in left}
    for record in smaller:
        if not (record.reference and (record.reference_id, record.seeds) in needed):
            store.remove(record.name, record.point_id)
