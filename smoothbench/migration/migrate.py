"""`python -m smoothbench.migrate DIR...` renames the results of an earlier version as this version names them.

The ids of records of schema 2 were made from import paths of code and paths of files. The old ids of each record are
computed again from its content, which proves what it is; then records, scores, previews, samples, features, curves
and latencies get their new names. A folder with a record that cannot be proved is left as it is.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports metrics

# isort: split
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
from smoothbench.storage.locks import locked
from smoothbench.storage.record import SCHEMA, Record
from smoothbench.storage.record_files import record_files
from smoothbench.storage.record_schema import BY_PLACE
from smoothbench.storage.results_folder import Store


def main(arguments: Sequence[str] | None = None) -> int:
    """Migrate folders; exit code 0: done, 1: failed (a full disk), 2: a folder cannot be migrated, 128 + a signal."""
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
    """Migrate a results folder and return what was done; if it is stopped, the same call goes on.

    Raises UsageError, naming the records, where records cannot be proved to be what their ids say, where there are no
    records, and while another process is at work in the folder.
    """
    if not (files := record_files(folder)):
        raise UsageError(
            f"{folder}: there are no records in it: name a results folder, as results/runs/dit_ddim"
        )
    if not (old := _old(folder)):
        return f"{folder}: nothing to do, its {len(files)} records are of this version"
    locks = folder / ".locks"
    had_locks = locks.exists()
    try:
        with locked(folder, "working", wait=False) as alone:
            if not alone:
                raise UsageError(
                    f"{folder}: another process is at work in it: migrate it once that has ended"
                )
            plan = renaming(folder, old)
            _apply(folder, plan)
    finally:
        if not had_locks:  # a published copy has none
            shutil.rmtree(locks, ignore_errors=True)
    exceptions = "".join(
        f"\n  {name} keeps its old hash: {reason}" for name, reason in sorted(plan.refused.items())
    )
    return f"{folder}: {len(old)} records have new names{exceptions}"


def _old(folder: Path) -> dict[str, OldRecord]:
    """The records of schema 2, by the names of their files."""
    contents = {path.name: read_json(path) for path in record_files(folder)}
    return {
        name: content
        for name, content in contents.items()
        if isinstance(content, dict) and content.get("schema") == BY_PLACE
    }


def _apply(folder: Path, plan: Renaming) -> None:
    """Rename the files that records name, then the records, those of baselines last.

    In this order the old records that a stopped migration leaves still prove what they are: that needs the baselines.
    """
    store = Store(folder)
    for (samples, key), (new_samples, new_key) in plan.features.items():
        _rename_features(folder / "observations", samples, key, new_samples, new_key)
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


def _rename_features(folder: Path, samples: str, key: str, new_samples: str, new_key: str) -> None:
    """Rename cached features, and write into the file the samples and the key that it is of."""
    old, new = folder / samples / f"{key}.npz", folder / new_samples / f"{new_key}.npz"
    arrays = read_arrays(old) if old.exists() else None
    if arrays is not None:
        write_arrays(new, arrays | {"of": np.array([new_samples, new_key])})
        if old != new:
            old.unlink()


def _rename_samples(folder: Path, old: str, new: str) -> None:
    """Rename samples with their manifest, and previews."""
    path = folder / "samples" / old / "manifest.json"
    manifest = read_json(path)
    if isinstance(manifest, dict):
        write_json(path, manifest | {"sample_id": new})
    for name in ("samples", "previews"):
        _move(folder / name / old, folder / name / new)
    with suppress(OSError):  # not empty if it holds features that no record names
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
    """Rename scores, schedules and imported results, which are named like the record."""
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
    """Rename a file or folder if it exists and the new name does not."""
    if old.exists() and not new.exists():
        os.rename(old, new)


if __name__ == "__main__":
    sys.exit(main())
