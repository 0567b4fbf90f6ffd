"""VBench's results beside the records of a results folder."""

from collections.abc import Sequence
from pathlib import Path

from smoothbench.interop.vbench.totals import SCHEMA, Totals, read_results, totals
from smoothbench.storage.files import sha256_of, write_json
from smoothbench.storage.find_point import point_of
from smoothbench.storage.results_folder import Store


def keep(folder: Path, point: str, files: Sequence[Path]) -> tuple[Path, Totals]:
    """Write a point's results to `vbench/`, in place of earlier ones; return where, and what they sum up to.

    Raises UsageError as `point_of` does, and ValueError as `read_results` does.
    """
    store = Store(folder)
    record = point_of(store.records(), folder, point)
    results = read_results(files)
    path = folder / "vbench" / store.record_path(record.name, record.point_id).name
    write_json(
        path,
        {
            "schema": SCHEMA,
            "point_id": record.point_id,
            "dimensions": {each: result._asdict() for each, result in results.items()},
            "files": [{"name": file.name, "sha256": sha256_of(file)} for file in files],
        },
    )
    return path, totals({each: result.value for each, result in results.items()})
