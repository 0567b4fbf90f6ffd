"""Recompute the ids of a record from what it says of its point."""

from collections.abc import Iterator, Mapping
from typing import Any

from smoothbench.leaderboard.difference import Difference, compare
from smoothbench.planning.point_ids import point_ids
from smoothbench.storage.identity import identity
from smoothbench.storage.record import Record

DESCRIBED = "model, solver, schedule, method and seeds give"


def id_differences(record: Record, references: Mapping[str, Record]) -> Iterator[Difference]:
    """Yield the ids of a record that do not follow from its description.

    Args: references, the uncached records of its folder by the id of their samples.
    """
    reference = references.get(record.reference_id)
    if reference is None:
        yield Difference("reference_id", record.reference_id, "none", "the uncached records beside it have")
        return
    if record.described is None:
        yield Difference("described", None, "python -m smoothbench.migrate adds it", "ids follow from it")
        return
    if record.status.quality != "done" and record.schedule is None:
        return  # it was never planned, and states neither a score nor a cost
    yield from _differences(record, reference)


def part_samples(record: Record, reference: Record) -> list[tuple[str, str | None, range]]:
    """Return the samples that a record rests on: their id, that of the uncached ones (None: these are), and seeds."""
    pairs = [
        None if record.reference else _ids(reference, reference, seeds, None)[0] for seeds in record.seeds
    ]
    return [
        (_ids(record, reference, seeds, pair)[0], pair, range(*seeds))
        for seeds, pair in zip(record.seeds, pairs, strict=True)
    ]


def _differences(record: Record, reference: Record) -> Iterator[Difference]:
    pairs = [
        None if record.reference else _ids(reference, reference, seeds, None)[0] for seeds in record.seeds
    ]
    ids = [_ids(record, reference, seeds, pair) for seeds, pair in zip(record.seeds, pairs, strict=True)]
    sample_id, point_id, cell_id = ids[0]
    yield from compare("sample_id", record.sample_id, sample_id, DESCRIBED)
    yield from compare("cell_id", record.cell_id, cell_id, DESCRIBED)
    if not record.parts:
        yield from compare("point_id", record.point_id, point_id, DESCRIBED)
        return
    for i, (stored, computed) in enumerate(zip(record.parts, (each[1] for each in ids), strict=False)):
        yield from compare(f"parts.{i}", stored, computed, DESCRIBED)
    yield from compare("point_id", record.point_id, identity(list(record.parts)), "its parts give")
    yield from compare("parts", len(record.parts), len(ids), "seed ranges in it")


def _ids(record: Record, reference: Record, seeds: tuple[int, int], pair: str | None) -> tuple[str, str, str]:
    assert record.described is not None
    parts = record.described.to_json()
    parts["model"] = parts["model"] | {"identity": record.model.to_json()}
    return point_ids(
        parts,
        _decision(record, reference),
        record.batch_size,
        seeds,
        record.calibration.digest if record.calibration else None,
        pair,
        record.budget.at if record.budget else None,
    )


def _decision(record: Record, reference: Record) -> Any:
    """A recorded schedule as ids have it; the reference's sites are the model's branches."""
    schedule, branches = record.schedule, reference.schedule.sites if reference.schedule else ()
    if schedule is None:
        return None
    bits = list(schedule.rows)
    if schedule.sites == branches:
        return bits
    if all("0" not in of_evaluation for of_evaluation in bits) and branches:
        return ["1" * len(branches)] * len(bits)
    return {"sites": list(schedule.sites), "bits": bits}
