"""Files that appear whole or not at all, and what names their content."""

import hashlib
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def scratch(path: Path, suffix: str = ".tmp") -> Path:
    """A hidden name beside a file, for what is not whole yet, that no other process of any host or container has.

    A process number alone is no such name: containers of one folder count theirs from 1, each for itself.
    """
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:20]
    # cut: the name of the file may be at the limit itself
    return path.with_name(f".{path.name[:40]}.{host}.{os.getpid()}.{secrets.token_hex(4)}{suffix}")


def sha256_of(path: str | Path) -> str:
    """Hex sha256 of a file, read piece by piece; OSError where it cannot be read."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def written_beside(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """The path of a temporary file beside another, for code that opens it by name; it replaces that one at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = scratch(path, suffix)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path, sync: bool = True) -> Iterator[BinaryIO]:
    """A temporary file that takes the place of another once it is whole: written, synced, renamed."""
    with written_beside(path) as temporary, temporary.open("wb") as file:
        yield file
        file.flush()
        if sync:
            os.fsync(file.fileno())
