"""Files that appear whole or not at all."""

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


@contextmanager
def replacing(path: Path, sync: bool = True) -> Iterator[BinaryIO]:
    """A temporary file that takes the place of another once it is whole: written, synced, renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = scratch(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
