"""Locks between processes that share a results folder, freed by the system when a process dies."""

import fcntl
import logging
import weakref
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
    except (
        OSError
    ) as error:  # ENOLCK, ENOTSUP, EINVAL, ...: file systems without locks give many kinds of errors
        raise UsageError(
            f"{folder}: its file system has no file locks ({error.strerror}), without which two processes "
            "could spoil each other's results: choose a results_dir=... on a local disk, or mount it with flock"
        ) from None
    return True


def opened(folder: Path, name: str) -> IO[str]:
    """Open the file of a lock for reading and writing: NFS gives shared locks to readers, exclusive ones to writers.

    Every user whom the umask lets write may lock. Raises UsageError, naming the results folder, for other users.
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
    """Hold a lock within a context; yields False if `wait` is false and another process holds it, else True."""
    with opened(folder, name) as file:
        yield flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), folder)


class Presence:
    """Shows the other processes that share a folder that this one is at work.

    If several processes end at the same time, exactly one of them is the last: a process stops being at work before
    it checks whether others are.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._file: IO[str] | None = None
        self._alone = False

    def enter(self) -> Self:
        """Start being at work; waits for a process that has the folder to itself to measure latency."""
        if self._file is None:
            self._file = opened(self.folder, self.name)
            weakref.finalize(self, self._file.close)  # where nobody leaves: an experiment that is never run
            if not flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB, self.folder):
                log.info("waiting for another process, which measures latency in %s", self.folder)
                flock(self._file, fcntl.LOCK_SH, self.folder)
        return self

    def last(self) -> bool:
        """Stop being at work, and return whether no other process is; if so, none can start before `leave`."""
        if self._file is not None and not self._alone:
            flock(self._file, fcntl.LOCK_UN, self.folder)
            self._alone = flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, self.folder)
        return self._alone

    def leave(self) -> None:
        """Release the lock: this process is neither at work nor the last."""
        if self._file is not None:
            self._file.close()
        self._file, self._alone = None, False

    def __enter__(self) -> Self:
        return self.enter()

    def __exit__(self, *error: object) -> None:
        self.leave()
