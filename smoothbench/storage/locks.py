"""Locks between processes that share a results folder, freed by the system when a process dies.

Where a file system has no file locks that all machines share, leases stand in for them: see `lock_kind` and `leases`.
"""

import logging
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Self

from smoothbench.errors import UsageError, is_full
from smoothbench.storage.leases import Lease
from smoothbench.storage.lock_kind import LEASES, WITHOUT_LOCKS, by_lease, flock, locks_of, unlock

log = logging.getLogger(__name__)

PATIENCE: Final = 120.0  # seconds that a run waits for a server that is out of locks, before it gives up


class Lock:
    """An open lock of a results folder, which one process holds exclusively or several share."""

    def __init__(self, file: IO[str], folder: Path, leased: bool) -> None:
        self.file, self.folder, self._by_lease = file, folder, leased
        self._lease = Lease(Path(file.name))

    def take(self, shared: bool = False, wait: bool = True) -> bool:
        """Take the lock, in place of what is held of it; False where another process has it and `wait` is false.

        Raises UsageError where the folder's processes use file locks, and this one gets none.
        """
        if self._by_lease:
            return self._lease.take(shared, wait)
        try:
            return flock(self.file, shared, wait, PATIENCE)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            raise UsageError(
                f"{self.folder}: its processes use file locks, and this one gets none ({error.strerror}): run the same "
                f"command once there are some again, or end them all and create {locks_of(self.folder) / LEASES}, so "
                "that all use leases"
            ) from None

    def free(self) -> None:
        """Hold the lock no more, but keep it open."""
        if self._by_lease:
            self._lease.free()
        else:
            unlock(self.file)

    def close(self) -> None:
        """Free the lock for good."""
        self._lease.free()
        self.file.close()


def opened(folder: Path, name: str) -> Lock:
    """Open a lock for reading and writing: NFS gives shared locks to readers, exclusive ones to writers.

    Every user whom the umask lets write may lock. Raises UsageError, naming the results folder, for other users.
    """
    path = locks_of(folder) / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        leased = by_lease(folder)
        return Lock(path.open("a+"), folder, leased)
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
    lock = opened(folder, name)
    try:
        yield lock.take(wait=wait)
    finally:
        lock.close()


class Presence:
    """Shows the other processes that share a folder that this one is at work.

    If several processes end at the same time, exactly one of them is the last: a process stops being at work before
    it checks whether others are.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.lock: Lock | None = None
        self._alone = False

    def enter(self) -> Self:
        """Start being at work; waits for a process that has the folder to itself to measure latency."""
        if self.lock is None:
            self.lock = opened(self.folder, self.name)
            weakref.finalize(self, self.lock.close)  # where nobody leaves: an experiment that is never run
            if not self.lock.take(shared=True, wait=False):
                log.info("waiting for another process, which measures latency in %s", self.folder)
                self.lock.take(shared=True)
        return self

    def last(self) -> bool:
        """Stop being at work, and return whether no other process is; if so, none can start before `leave`."""
        if self.lock is not None and not self._alone:
            self.lock.free()
            self._alone = self.lock.take(wait=False)
        return self._alone

    def leave(self) -> None:
        """Release the lock: this process is neither at work nor the last."""
        if self.lock is not None:
            self.lock.close()
        self.lock, self._alone = None, False

    def __enter__(self) -> Self:
        return self.enter()

    def __exit__(self, *error: object) -> None:
        self.leave()
