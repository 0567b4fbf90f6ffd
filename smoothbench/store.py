"""The results folder of an experiment: atomic files, records by point, a lock."""

import fcntl
import io
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np

from smoothbench.errors import UsageError

SCHEMA = 2
NEEDED = {"status", "scores", "reference_id", "cost", "cell_id", "seeds", "parts", "per_block"}


def write_atomic(path: Path, data: bytes, sync: bool = True) -> None:
    """The whole file or nothing: temporary file, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Readable JSON, atomically; the same data gives the same bytes."""
    write_atomic(path, (json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any | None:
    """The data, or None where the file is missing or no JSON."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A compressed npz, atomically; the same arrays give the same bytes."""
    buffer, ordered = io.BytesIO(), {name: arrays[name] for name in sorted(arrays)}
    np.savez_compressed(buffer, allow_pickle=False, **ordered)
    write_atomic(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an npz, or None where it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return dict(data)
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error):
        return None


class Store:
    """Everything of one experiment, under `results_dir/runs/<experiment>`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """Raise UsageError, before anything else starts, where nothing can be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise UsageError(
                f"cannot write to {self.folder} ({error.strerror}): choose another results_dir=..."
            ) from None

    def enter(self) -> IO[str]:
        """Mark this process as at work here, for as long as the returned file is open.

        One that is alone sweeps up what killed ones left unfinished.
        """
        path = self.folder / ".locks" / "present"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            for unfinished in self.folder.rglob(".*.tmp"):
                unfinished.unlink(missing_ok=True)
        fcntl.flock(file, fcntl.LOCK_SH)
        return file

    def record_path(self, name: str, point_id: str) -> Path:
        """Where the record of a point lies."""
        slug = re.sub(r"[^A-Za-z0-9.=_-]+", "-", name)[:60]
        return self.folder / "records" / f"{slug}-{point_id}.json"

    def record(self, name: str, point_id: str) -> dict[str, Any] | None:
        """The point's record, or None where there is none that this version can read."""
        return _record(self.record_path(name, point_id))

    def records(self) -> list[dict[str, Any]]:
        """All records that this version can read."""
        found = [_record(path) for path in sorted((self.folder / "records").glob("*.json"))]
        return [record for record in found if record is not None]

    def remove(self, name: str, point_id: str) -> None:
        """Drop a record and its scores."""
        self.record_path(name, point_id).unlink(missing_ok=True)
        self.scores_path(name, point_id).unlink(missing_ok=True)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Replace a point's record."""
        write_json(self.record_path(record["name"], record["point_id"]), {"schema": SCHEMA, **record})

    def scores_path(self, name: str, point_id: str) -> Path:
        """Where the per-sample influence values of a point's scores lie: named like its record."""
        return self.folder / "scores" / f"{self.record_path(name, point_id).stem}.npz"

    def scores(self, name: str, point_id: str) -> dict[str, np.ndarray] | None:
        """The arrays of a point's scores, or None where they are missing or damaged."""
        return read_arrays(self.scores_path(name, point_id))

    @contextmanager
    def lock(self, name: str, wait: bool = True) -> Iterator[bool]:
        """One process at a time; freed by the system when a process dies.

        Yields whether it was had: always, unless `wait` is false and another process has it.
        """
        path = self.folder / ".locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True


def _record(path: Path) -> dict[str, Any] | None:
    data = read_json(path)
    whole = isinstance(data, dict) and data.get("schema") == SCHEMA and data.keys() >= NEEDED
    return data if whole else None
