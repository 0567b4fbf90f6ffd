"""Find the records of a point by its name or its id."""

from collections.abc import Sequence
from pathlib import Path

from smoothbench.errors import UsageError
from smoothbench.storage.record import Record
from smoothbench.storage.record_differences import differences


def point_of(records: Sequence[Record], folder: Path, point: str) -> Record:
    """The record of a point by its name or point_id, the pooled one where there is one; UsageError for none."""
    named = [record for record in records if point in (record.name, record.point_id)]
    pooled = {part for record in named for part in record.parts}
    found = [record for record in named if record.point_id not in pooled]
    if len(found) != 1:
        pairs = zip(found, differences(found), strict=True)
        ids = [f"{record.point_id} ({facts})" if facts else record.point_id for record, facts in pairs]
        names = {record.name for record in records} or {"no records"}
        choice = f"{'point_id' if found else 'name'} of {', '.join(sorted(ids or names))}"
        raise UsageError(f"{folder}: {len(found)} points are called {point}: choose by {choice}")
    return found[0]


def parts_of(records: Sequence[Record], folder: Path, point: str) -> list[Record]:
    """The records whose samples make up a point: itself, or those that were pooled into it.

    Raises UsageError as `point_of` does, and where the point is not finished.
    """
    found = point_of(records, folder, point)
    by_id = {record.point_id: record for record in records}
    ids = found.parts or (found.point_id,)
    if lost := [part for part in ids if part not in by_id]:
        raise UsageError(f"{point} was pooled from {lost[0]}, whose record is gone: run it again")
    for part in (by_id[each] for each in ids):
        if part.status.quality != "done":
            reason = part.reason or part.status.quality
            raise UsageError(f"{point} is not finished ({reason}): run it first")
    return [by_id[each] for each in ids]
