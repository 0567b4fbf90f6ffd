"""The results folder of an experiment: records and scores by point, and locks between processes."""

import logging
import os
import re
import shutil
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from smoothbench.errors import PointsFailed, UsageError, is_full
from smoothbench.json_checks import explain
from smoothbench.storage.digest_memory import DigestMemory
from smoothbench.storage.files import load_json, read_arrays, write_json
from smoothbench.storage.lock_kind import LOCKS, by_lease
from smoothbench.storage.locks import Lock, Presence, locked, opened
from smoothbench.storage.record import Record
from smoothbench.storage.record_files import record_files, record_stem
from smoothbench.storage.record_schema import refuse_by_place, refuse_newer

log = logging.getLogger(__name__)


class Store:
    """Reads and writes the results of one experiment, under `results_dir/runs/<experiment>`.

    `memory` is of the samples there that this process has hashed, or of those of several folders.
    """

    def __init__(self, folder: Path, memory: DigestMemory | None = None) -> None:
        self.folder, self.memory = folder, memory or DigestMemory()
        self._warned: set[Path] = set()  # unreadable records that a warning has named
        self.present: Lock | None = None  # held to the end of the process

    def check(self) -> None:
        """Raise UsageError, before anything else starts, where the folder cannot be written to or locked."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            by_lease(self.folder)
        except UsageError:
            raise
        except (OSError, ValueError) as error:  # ValueError: not a possible file name
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"cannot write to {self.folder} ({reason}): choose another results_dir=... or experiment=..."
            ) from None

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the error of a full disk within a context into PointsFailed, with the way out."""
        try:
            yield
        except OSError as error:
            if not is_full(error):
                raise
            free = shutil.disk_usage(self.folder).free
            raise PointsFailed(
                f"no space left for {self.folder} ({free / 1e9:.2f} GB free): make room, and the same "
                "command goes on; keep_samples=false needs less"
            ) from error

    def enter(self) -> Presence:
        """Check the folder and mark this process as at work in it, until the returned presence leaves.

        A process that is alone deletes the temporary files of killed processes. Processes that have left may still
        write a report, so a second lock, `present`, which is kept to the end of a process, tells who is alone.
        """
        self.check()
        refuse_by_place(self.folder)
        refuse_newer(self.folder)
        # opened first: a process that may not is refused before it is marked as at work
        present = self.present or opened(self.folder, "present")
        working = Presence(self.folder, "working").enter()
        if self.present is None:
            self.present = present
            weakref.finalize(self, present.close)
            if present.take(wait=False):
                self._sweep()
            present.take(shared=True)
        return working

    def _sweep(self) -> None:
        """Delete the temporary files of killed processes, but for those of experiments in folders of this one."""
        for place, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if not (Path(place) / name / LOCKS).is_dir()]
            for name in files:
                if name.startswith(".") and name.endswith(".tmp"):
                    (Path(place) / name).unlink(missing_ok=True)

    def sharing(self, work: str) -> Presence:
        """Return the presence, to be entered and left, that shows which processes do the same work, by its name."""
        return Presence(self.folder, f"sharing-{work}")

    def record_path(self, name: str, point_id: str) -> Path:
        """Return the path of a point's record."""
        return self.folder / "records" / f"{file_stem(name, point_id)}.json"

    def record(self, name: str, point_id: str) -> Record | None:
        """Read a point's record; None where there is none that this version can read."""
        return self._readable(self.record_path(name, point_id))

    def records(self) -> list[Record]:
        """Read all records that this version can read; a warning names each of the others, once."""
        refuse_by_place(self.folder)
        records = [self._readable(path) for path in record_files(self.folder)]
        return [record for record in records if record is not None]

    def _readable(self, path: Path) -> Record | None:
        """The record in a file; None where there is none, or a damaged one, or one of another point."""
        if not path.exists():
            return None
        try:
            record = Record.from_json(load_json(path))
            if self.record_path(record.name, record.point_id).stem != record_stem(path):
                raise ValueError(f"it is the record of another point, {record.point_id[:40]}")
        except (OSError, ValueError, KeyError, RecursionError) as error:
            if path not in self._warned:
                log.warning("ignored %s: %s", path, explain(error))
            self._warned.add(path)
            return None
        return record

    def supersede(self, record: Record) -> None:
        """Delete other records of the same point and baseline that failed without a cost, or were not supported.

        A record of a policy that decides at run time, whose cost is still to come, stays: it is of other settings.
        """
        pair = (record.name, record.seeds, record.reference_id)
        for path in (self.folder / "records").glob(f"{_slug(record.name)}-*.json"):
            old = self._readable(path)
            if old is None or (old.name, old.seeds, old.reference_id) != pair:
                continue
            skipped = old.status.cost == "skipped" and old.batch_size is None
            costless = old.status.cost == "failed" or (skipped and record.status.cost == "done")
            if costless and old.point_id != record.point_id:
                self.remove(old.name, old.point_id)

    def remove(self, name: str, point_id: str) -> None:
        """Delete a record and its scores."""
        self.record_path(name, point_id).unlink(missing_ok=True)
        self.scores_path(name, point_id).unlink(missing_ok=True)

    def write_record(self, record: Record) -> None:
        """Write a point's record in the place of an earlier one."""
        write_json(self.record_path(record.name, record.point_id), record.to_json())

    def scores_path(self, name: str, point_id: str) -> Path:
        """Return the path of the per-sample influences of a point's scores, which is named like its record."""
        return self.folder / "scores" / f"{self.record_path(name, point_id).stem}.npz"

    def scores(self, name: str, point_id: str) -> dict[str, np.ndarray] | None:
        """Read the influences of a point's scores; None where they are absent, damaged or not one per seed."""
        arrays = read_arrays(self.scores_path(name, point_id)) or {}
        seeds = arrays.get("seeds", np.zeros(0))
        influences = [values for key, values in arrays.items() if key != "seeds"]
        fits = seeds.dtype.kind == "i" and seeds.ndim == 1 and all(v.shape == seeds.shape for v in influences)
        return arrays if fits and all(_finite(values) for values in influences) else None

    def lock(self, name: str, wait: bool = True) -> AbstractContextManager[bool]:
        """Hold a lock of this folder within a context; see `locks.locked`."""
        return locked(self.folder, name, wait)


def file_stem(name: str, point_id: str) -> str:
    """Return what files of a point are called, without their suffix: its name in letters that every system takes."""
    return f"{_slug(name)}-{point_id}"


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", name)[:60]


def _finite(values: np.ndarray) -> bool:
    return values.dtype.kind == "f" and bool(np.isfinite(values).all())
