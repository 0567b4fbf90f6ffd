"""Writes files that appear whole or not at all, and hashes them."""

import hashlib
import io
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np


def scratch(path: Path, suffix: str = ".tmp") -> Path:
    """Return a hidden name beside a file that no other process of any host or container has.

    A process number alone is no such name: containers of one folder count theirs from 1, each for itself.
    """
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:20]
    # cut: the name of the file may be at the limit itself
    return path.with_name(f".{path.name[:40]}.{host}.{os.getpid()}.{secrets.token_hex(4)}{suffix}")


def sha256_of(path: str | Path) -> str:
    """Return the hex sha256 of a file, read piece by piece; OSError where it cannot be read."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def written_beside(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """Yield the path of a temporary file for code that opens it by name; in the end it takes the place of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = scratch(path, suffix)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path, sync: bool = True) -> Iterator[BinaryIO]:
    """Yield a temporary file to write to, which takes the place of `path` once it is whole: synced, then renamed."""
    with written_beside(path) as temporary, temporary.open("wb") as file:
        yield file
        file.flush()
        if sync:
            os.fsync(file.fileno())


def write_atomic(path: Path, data: bytes, sync: bool = True) -> None:
    """Write a file, whole or not at all; with `sync` it is on the disk afterwards."""
    with replacing(path, sync) as file:
        file.write(data)


def write_json(path: Path, data: Any) -> None:
    """Write readable JSON, whole or not at all; the same data gives the same bytes."""
    write_atomic(path, (json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any | None:
    """Read JSON; None where the file is missing, cannot be read or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed npz, whole or not at all; the same arrays give the same bytes."""
    buffer, ordered = io.BytesIO(), {name: arrays[name] for name in sorted(arrays)}
    np.savez_compressed(buffer, allow_pickle=False, **ordered)
    write_atomic(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Read the arrays of an npz; None where it is missing or damaged; nothing is ever unpickled."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: np.asarray(data[name]) for name in data.files}
    except Exception:  # what numpy and zipfile make of damaged bytes is no closed list
        return None


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 with Unix line ends, whole or not at all; return the path."""
    write_atomic(path, text.encode("utf-8"))
    return path
