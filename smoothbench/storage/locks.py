"""Locks between processes that share a results folder, freed by the system when a process dies.

Where a file system has no file locks, leases stand in for them: see `leases`.
"""

import errno
import logging
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Self

from smoothbench.errors import UsageError, is_full
from smoothbench.storage.leases import Lease, check_leases

try:
    import fcntl
except ImportError:  # where the system is not POSIX
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

# what file systems without locks answer; None: the system has none
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, None)
LEASES = "leases"  # this file among the locks says that the folder's are leases, for all processes alike


class Lock:
    """An open lock of a results folder, which one process holds exclusively or several share."""

    def __init__(self, file: IO[str], folder: Path) -> None:
        self.file, self.folder = file, folder
        path = Path(file.name)
        self._by_lease = path.with_name(LEASES).exists()
        self._lease = Lease(path)

    def take(self, shared: bool = False, wait: bool = True) -> bool:
        """Take the lock, in place of what is held of it; False where another process has it and `wait` is false."""
        if not self._by_lease:
            try:
                return flock(self.file, shared, wait)
            except OSError as error:
                if error.errno not in WITHOUT_LOCKS:
                    raise
                log.info("%s: no file locks (%s): leases instead", self.folder, error.strerror)
                Path(self.file.name).with_name(LEASES).touch()
                self._by_lease = True
        return self._lease.take(shared, wait)

    def free(self) -> None:
        """Hold the lock no more, but keep it open."""
        if self._by_lease:
            self._lease.free()
        elif fcntl is not None:
            fcntl.flock(self.file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Free the lock for good."""
        self._lease.free()
        self.file.close()


def flock(file: IO[Any], shared: bool, wait: bool) -> bool:
    """Take the system's lock of an open file; False where another process has it. OSError where there are no locks."""
    if fcntl is None:
        raise OSError(None, "not on this system")
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def check_locks(folder: Path) -> bool:
    """Return whether a folder's file system has file locks; UsageError where it has no leases either."""
    with TemporaryFile(dir=folder) as file:
        try:
            flock(file, shared=False, wait=False)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            check_leases(folder)
            return False
    return True


def opened(folder: Path, name: str) -> Lock:
    """Open a lock for reading and writing: NFS gives shared locks to readers, exclusive ones to writers.

    Every user whom the umask lets write may lock. Raises UsageError, naming the results folder, for other users.
    """
    path = folder / ".locks" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Lock(path.open("a+"), folder)
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
