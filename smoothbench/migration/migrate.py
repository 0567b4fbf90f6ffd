"""`python -m smoothbench.migrate DIR...`: give results of an earlier version the names that they have now.

Records of schema 2 were named by the import paths of code and the paths of files. Of each the old ids are made again
of its own content, which proves what it is; then records, scores, previews, samples, what metrics saw, curves and
latencies get their new names. A folder with a record that cannot be proved is left as it is.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports metrics

# isort: split
import fcntl
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from smoothbench import command
from smoothbench.errors import UsageError
from smoothbench.migration.old_ids import OldRecord
from smoothbench.migration.renaming import Renaming, renaming
from smoothbench.storage.files import read_arrays, read_json, write_arrays, write_json
from smoothbench.storage.locks import flock, opened
from smoothbench.storage.record import SCHEMA, Record
from smoothbench.storage.record_schema import BY_PLACE
from smoothbench.storage.results_folder import Store


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 it failed (a full disk), 2 a folder cannot be migrated, 128 + a signal: stopped."""
    parser = command.parser("smoothbench.migrate", __doc__)
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="DIR", help="results folder, with records/ in it"
    )
    options = parser.parse_args(arguments)
    return command.main(lambda: _migrated(options.folders), "the same command goes on")


def _migrated(folders: Sequence[Path]) -> int:
    worst = 0
    for folder in folders:
        try:
            print(migrate(folder))
        except ValueError as error:
            worst = max(worst, command.end(error, 2))
        except OSError as error:
            return command.end(f"{folder}: {error.strerror or error}: the same command goes on", 1)
    return worst


def migrate(folder: Path) -> str:
    """Rename a results folder, whole or, where it is stopped, up to where the same call goes on; what was done.

    Raises UsageError, naming each record, where one cannot be proved to be what its id says, where there are no
    records, and while another process is at work in the folder.
    """
    if not any((folder / "records").glob("*.json")):
        raise UsageError(
            f"{folder}: there are no records in it: name a results folder, as results/runs/dit_ddim"
        )
    if not (old := _old(folder)):
        return f"{folder}: nothing to do, its {len(list(folder.glob('records/*.json')))} records are of this version"
    locks = folder / ".locks"
    kept_locks = locks.exists()
    try:
        with opened(folder, "working") as file:
            if not flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB, folder):
                raise UsageError(
                    f"{folder}: another process is at work in it: migrate it once that has ended"
                )
            plan = renaming(folder, old)
            _apply(folder, plan)
    finally:
        if not kept_locks:  # a published copy has none
            shutil.rmtree(locks, ignore_errors=True)
    kept = "".join(
        f"\n  {name} keeps its old hash: {reason}" for name, reason in sorted(plan.refused.items())
    )
    return f"{folder}: {len(old)} records have new names{kept}"


def _old(folder: Path) -> dict[str, OldRecord]:
    """The records of schema 2, by their files."""
    found = {path.name: read_json(path) for path in sorted(folder.glob("records/*.json"))}
    return {
        name: each
        for name, each in found.items()
        if isinstance(each, dict) and each.get("schema") == BY_PLACE
    }


def _apply(folder: Path, plan: Renaming) -> None:
    """All that records name first, the records last, references after the others: what is left proves the rest."""
    store = Store(folder)
    for (samples, key), (new_samples, new_key) in plan.observed.items():
        _rename_rows(folder / "observations", samples, key, new_samples, new_key)
    for old, new in plan.samples.items():
        _rename_samples(folder, old, new)
    for old, new in plan.curves.items():
        _move(folder / old, folder / new)
    for path in [folder / "latency.json", *sorted(folder.glob("latency/*.json"))]:
        _rename_cells(path, plan.cells)
    for record, renamed in plan.records:
        _rename_files(store, record, renamed)
    for _, renamed in plan.records:
        store.write_record(renamed)
    for record, _ in sorted(plan.records, key=lambda pair: bool(pair[0]["reference"])):
        store.record_path(record["name"], record["point_id"]).unlink(missing_ok=True)


def _rename_rows(folder: Path, samples: str, key: str, new_samples: str, new_key: str) -> None:
    """What a metric saw; the file says of what it is."""
    old, new = folder / samples / f"{key}.npz", folder / new_samples / f"{new_key}.npz"
    arrays = read_arrays(old) if old.exists() else None
    if arrays is not None:
        write_arrays(new, arrays | {"of": np.array([new_samples, new_key])})
        if old != new:
            old.unlink()


def _rename_samples(folder: Path, old: str, new: str) -> None:
    """Samples with their manifest, and previews."""
    path = folder / "samples" / old / "manifest.json"
    manifest = read_json(path)
    if isinstance(manifest, dict):
        write_json(path, manifest | {"sample_id": new})
    for name in ("samples", "previews"):
        _move(folder / name / old, folder / name / new)
    with suppress(OSError):  # what no record names stays
        (folder / "observations" / old).rmdir()


def _rename_cells(path: Path, cells: Mapping[str, str]) -> None:
    content = read_json(path)
    if (
        isinstance(content, dict)
        and content.get("schema") == BY_PLACE
        and isinstance(content.get("points"), dict)
    ):
        points = {cells.get(cell, cell): point for cell, point in content["points"].items()}
        write_json(path, content | {"schema": SCHEMA, "points": points})


def _rename_files(store: Store, record: OldRecord, renamed: Record) -> None:
    """Scores, schedules and imported results, which are named like the record."""
    old = store.record_path(record["name"], record["point_id"])
    new = store.record_path(renamed.name, renamed.point_id)
    _move(store.folder / "scores" / f"{old.stem}.npz", store.folder / "scores" / f"{new.stem}.npz")
    vbench = store.folder / "vbench" / old.name
    if isinstance(content := read_json(vbench), dict):
        write_json(vbench.with_name(new.name), content | {"point_id": renamed.point_id})
        vbench.unlink()
    for path in store.folder.glob(f"schedules/{record['point_id']}.*"):
        _move(path, path.with_name(renamed.point_id + path.suffix))


def _move(old: Path, new: Path) -> None:
    """Rename what is there, unless that is done, or the new name is taken by the same."""
    if old.exists() and not new.exists():
        os.rename(old, new)


if __name__ == "__main__":
    sys.exit(main())
