"""Atomic files: they appear complete or not at all; and the hashes that identify their content."""

import gzip
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import socket
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np


def scratch(path: Path) -> Path:
    """Return the path of a hidden temporary file in the same folder, unique among all processes, hosts and containers.

    A process number alone would not be unique: containers that share a folder number their processes from 1.
    """
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:20]
    # the file's name is cut, because it may itself be as long as the file system allows
    return path.with_name(f".{path.name[:40]}.{host}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def sha256_of(path: str | Path) -> str:
    """Return the hex sha256 of a file, read piece by piece; OSError where it cannot be read."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def temporary_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` at the end, for code that opens files by name itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = scratch(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `path` once it is complete: written, synced, renamed."""
    with temporary_path(path) as temporary, temporary.open("wb") as file:
        yield file
        file.flush()
        if sync:
            os.fsync(file.fileno())


def link_or_copy(source: Path, target: Path) -> None:
    """Put a file in another place too, atomically: by a hard link, or a copy where the file system has none."""
    with temporary_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def write_atomic(path: Path, data: bytes, sync: bool = True) -> None:
    """Write a file atomically: afterwards it has all of the data, or is as it was."""
    with replacing(path, sync) as file:
        file.write(data)


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON atomically; the same data gives the same bytes."""
    write_atomic(path, (json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read_bytes(path: Path) -> bytes:
    """Read a file, unpacked where its name ends in .gz; OSError where that fails, ValueError where it is torn."""
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"it is no gzip file: {error}") from error


def load_json(path: Path) -> Any:
    """Read a JSON file, gzipped or not; OSError where it cannot be read, ValueError where it is no JSON."""
    return json.loads(read_bytes(path).decode("utf-8"))


def read_json(path: Path) -> Any | None:
    """Read a JSON file, gzipped or not; None where it does not exist, cannot be read or is no JSON."""
    try:
        return load_json(path)
    except (OSError, ValueError, RecursionError):
        return None


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed npz atomically; the same arrays give the same bytes."""
    buffer, ordered = io.BytesIO(), {name: arrays[name] for name in sorted(arrays)}
    np.savez_compressed(buffer, allow_pickle=False, **ordered)
    write_atomic(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Read the arrays of an npz; None where it does not exist or is damaged. Nothing is ever unpickled."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: np.asarray(data[name]) for name in data.files}
    except Exception:  # damaged bytes make numpy and zipfile raise exceptions of many kinds
        return None


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 with Unix line ends, whole or not at all; return the path."""
    write_atomic(path, text.encode("utf-8"))
    return path
