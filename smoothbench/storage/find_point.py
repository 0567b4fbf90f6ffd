"""Find the records of a point by its name or its id."""

from collections.abc import Sequence
from pathlib import Path

from smoothbench.errors import UsageError
from smoothbench.storage.record import Record
from smoothbench.storage.record_differences import differences


def point_of(records: Sequence[Record], folder: Path, point: str) -> Record:
    """Return the record of a point by its name or point_id, the pooled one if there is one.

    Raises UsageError, with the choices, where no point or several are called so.
    """
    named = [record for record in records if point in (record.name, record.point_id)]
    pooled = {point_id for record in named for point_id in record.parts}
    matches = [record for record in named if record.point_id not in pooled]
    if len(matches) != 1:
        pairs = zip(matches, differences(matches), strict=True)
        ids = [f"{record.point_id} ({facts})" if facts else record.point_id for record, facts in pairs]
        names = {record.name for record in records} or {"no records"}
        choice = f"{'point_id' if matches else 'name'} of {', '.join(sorted(ids or names))}"
        raise UsageError(f"{folder}: {len(matches)} points are called {point}: choose by {choice}")
    return matches[0]


def parts_of(records: Sequence[Record], folder: Path, point: str) -> list[Record]:
    """Return the records whose samples make up a point: its own, or those of the seed ranges pooled into it.

    Raises UsageError as `point_of` does, and where the point is not finished.
    """
    whole_point = point_of(records, folder, point)
    by_id = {record.point_id: record for record in records}
    ids = whole_point.parts or (whole_point.point_id,)
    if lost := [point_id for point_id in ids if point_id not in by_id]:
        raise UsageError(f"{point} was pooled from {lost[0]}, whose record is not here: run the experiment")
    seed_ranges = [by_id[point_id] for point_id in ids]
    for record in seed_ranges:
        if record.status.quality != "done":
            reason = record.reason or record.status.quality
            raise UsageError(f"{point} is not finished ({reason}): run it first")
    return seed_ranges
