"""The results folder of an experiment: records by point, scores, a lock."""

import fcntl
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from smoothbench.errors import PointsFailed, UsageError, is_full
from smoothbench.json_checks import explain
from smoothbench.storage.files import read_arrays, read_json, write_json
from smoothbench.storage.locks import Presence, flock, locked, opened
from smoothbench.storage.record import Record
from smoothbench.storage.record_schema import refuse_by_place

log = logging.getLogger(__name__)


class Store:
    """Everything of one experiment, under `results_dir/runs/<experiment>`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._named: set[Path] = set()  # what was said to be unreadable, once
        self._present: IO[str] | None = None

    def check(self) -> None:
        """Raise UsageError, before anything else starts, where nothing can be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.folder) as file:
                flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB, self.folder)
        except UsageError:
            raise
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"cannot write to {self.folder} ({reason}): choose another results_dir=..."
            ) from None

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise PointsFailed, with the way out, where the disk gets full within it."""
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
        """Mark this process as at work here, until what is returned leaves, where it can write.

        One that is alone sweeps up what killed ones left unfinished: those that have left may still write a
        report, so that it goes by another lock, which a process keeps to its end.
        """
        self.check()
        refuse_by_place(self.folder)
        present = self._present or opened(self.folder, "present")  # who is refused here is not at work
        working = Presence(self.folder, "working").enter()
        if self._present is None:
            self._present = present
            if flock(self._present, fcntl.LOCK_EX | fcntl.LOCK_NB, self.folder):
                for unfinished in self.folder.rglob(".*.tmp"):
                    unfinished.unlink(missing_ok=True)
            flock(self._present, fcntl.LOCK_SH, self.folder)
        return working

    def sharing(self, work: str) -> Presence:
        """Of the processes at work here those with the same work, by its name; to be entered and left."""
        return Presence(self.folder, f"sharing-{work}")

    def record_path(self, name: str, point_id: str) -> Path:
        """Where the record of a point lies."""
        return self.folder / "records" / f"{_slug(name)}-{point_id}.json"

    def record(self, name: str, point_id: str) -> Record | None:
        """The point's record, or None where there is none that this version can read."""
        return self._readable(self.record_path(name, point_id))

    def records(self) -> list[Record]:
        """All records that this version can read; a warning names each of the others, once."""
        refuse_by_place(self.folder)
        found = [self._readable(path) for path in sorted((self.folder / "records").glob("*.json"))]
        return [record for record in found if record is not None]

    def _readable(self, path: Path) -> Record | None:
        """The record in a file, or None where there is none, or none that is whole and in its place."""
        if not path.exists():
            return None
        try:
            record = Record.from_json(read_json(path))
            if self.record_path(record.name, record.point_id) != path:
                raise ValueError(f"it is the record of another point, {record.point_id[:40]}")
        except (ValueError, KeyError) as error:
            if path not in self._named:
                log.warning("ignored %s: %s", path, explain(error))
            self._named.add(path)
            return None
        return record

    def supersede(self, record: Record) -> None:
        """Drop other records of the same point and pair that could not be planned, or had no cost where this has."""
        pair = (record.name, record.seeds, record.reference_id)
        for path in (self.folder / "records").glob(f"{_slug(record.name)}-*.json"):
            old = self._readable(path)
            if old is None or (old.name, old.seeds, old.reference_id) != pair:
                continue
            costless = old.status.cost == "failed" or (old.status.cost, record.status.cost) == (
                "skipped",
                "done",
            )
            if costless and old.point_id != record.point_id:
                self.remove(old.name, old.point_id)

    def remove(self, name: str, point_id: str) -> None:
        """Drop a record and its scores."""
        self.record_path(name, point_id).unlink(missing_ok=True)
        self.scores_path(name, point_id).unlink(missing_ok=True)

    def write_record(self, record: Record) -> None:
        """Replace a point's record."""
        write_json(self.record_path(record.name, record.point_id), record.to_json())

    def scores_path(self, name: str, point_id: str) -> Path:
        """Where the per-sample influence values of a point's scores lie: named like its record."""
        return self.folder / "scores" / f"{self.record_path(name, point_id).stem}.npz"

    def scores(self, name: str, point_id: str) -> dict[str, np.ndarray] | None:
        """The arrays of a point's scores, or None where they are missing, damaged or not one a seed."""
        arrays = read_arrays(self.scores_path(name, point_id)) or {}
        seeds = arrays.get("seeds", np.zeros(0))
        influences = [values for key, values in arrays.items() if key != "seeds"]
        fits = seeds.dtype.kind == "i" and seeds.ndim == 1 and all(v.shape == seeds.shape for v in influences)
        return arrays if fits and all(_finite(values) for values in influences) else None

    def lock(self, name: str, wait: bool = True) -> AbstractContextManager[bool]:
        """One process at a time; tells whether it was had: always, unless `wait` is false and another has it."""
        return locked(self.folder, name, wait)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", name)[:60]


def _finite(values: np.ndarray) -> bool:
    return values.dtype.kind == "f" and bool(np.isfinite(values).all())
