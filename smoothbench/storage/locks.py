"""Locks between processes that share a results folder, freed by the system when a process dies."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from smoothbench.errors import UsageError, is_full

log = logging.getLogger(__name__)


def flock(file: IO[Any], operation: int, folder: Path) -> bool:
    """Take or free the lock of an open file; False where another process has it and the operation does not wait.

    Raises UsageError, naming the results folder, where its file system has no locks.
    """
    try:
        fcntl.flock(file, operation)
    except BlockingIOError:
        return False
    except OSError as error:  # ENOLCK, ENOTSUP, EINVAL, ...: what file systems say is no closed list
        raise UsageError(
            f"{folder}: its file system has no file locks ({error.strerror}), without which two processes "
            "could spoil each other's results: choose a results_dir=... on a local disk, or mount it with flock"
        ) from None
    return True


def opened(folder: Path, name: str) -> IO[str]:
    """The file of a lock, to read and to write: NFS gives shared locks to readers, exclusive ones to writers.

    Whoever the umask lets write may lock. Raises UsageError, naming the results folder, where this user may not.
    """
    path = folder / ".locks" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")
    except OSError as error:
        if is_full(error):
            raise
        raise UsageError(
            f"{folder}: its lock {path.relative_to(folder)} cannot be opened to write ({error.strerror}): have its "
            "owner make the folder's files writable (chmod -R g+w), or choose another results_dir=..."
        ) from None


@contextmanager
def locked(folder: Path, name: str, wait: bool = True) -> Iterator[bool]:
    """One process at a time; yields whether it was had: always, unless `wait` is false and another has it."""
    with opened(folder, name) as file:
        yield flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), folder)


class Presence:
    """That this process is at work on something, as the others in the folder see it.

    Of processes that end at the same time exactly one is the last: each stops being at work before it asks.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._file: IO[str] | None = None
        self._alone = False

    def enter(self) -> Self:
        """Be at work, after a process that has all for itself: it measures."""
        if self._file is None:
            self._file = opened(self.folder, self.name)
            if not flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB, self.folder):
                log.info("waiting for another process, which measures latency in %s", self.folder)
                flock(self._file, fcntl.LOCK_SH, self.folder)
        return self

    def last(self) -> bool:
        """End the work; whether nobody else is at work. Then nobody can begin before this process leaves."""
        if self._file is not None and not self._alone:
            flock(self._file, fcntl.LOCK_UN, self.folder)
            self._alone = flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, self.folder)
        return self._alone

    def leave(self) -> None:
        """Be neither at work nor alone."""
        if self._file is not None:
            self._file.close()
        self._file, self._alone = None, False

    def __enter__(self) -> Self:
        return self.enter()

    def __exit__(self, *error: object) -> None:
        self.leave()
