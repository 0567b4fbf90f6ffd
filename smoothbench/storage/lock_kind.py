"""The kind of a results folder's locks, the system's file locks or leases, which one process decides for all."""

import errno
import logging
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

from smoothbench.storage.leases import Lease, check_leases
from smoothbench.storage.mount import mount_of

try:
    import fcntl
except ImportError:  # where the system is not POSIX
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

# what file systems without locks answer; None: the system has none
WITHOUT_LOCKS: Final = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, None)
LOCKS = ".locks"  # the folder of the locks, in a results folder
LEASES: Final = (
    "leases"  # this file among the locks says that the folder's are leases, for all processes alike
)
FILE_LOCKS: Final = "file_locks"  # and this one, that they are the system's
PATIENCE: Final = 3.0  # seconds before a file system that is out of locks counts as one without
POLL: Final = 0.1  # seconds between two tries


def by_lease(folder: Path) -> bool:
    """Return whether the locks of a results folder are leases; decide it, and write it down, where nobody has yet.

    A process that finds a decision keeps to it, whatever its own locks answer: two that used different kinds would not
    keep each other out. Raises UsageError where there are neither file locks nor leases.
    """
    locks = locks_of(folder)
    decided = _decided(locks)
    if decided is not None:
        return decided
    locks.mkdir(parents=True, exist_ok=True)
    deciding = Lease(locks / "kind")  # which works on every file system that will do
    deciding.take(shared=False, wait=True)
    try:
        decided = _decided(locks)
        if decided is None:
            decided = reason_for_leases(folder) is not None
            (locks / (LEASES if decided else FILE_LOCKS)).touch()
    finally:
        deciding.free()
    return decided


def locks_of(folder: Path) -> Path:
    """Return where the locks of a results folder lie."""
    return folder / LOCKS


def reason_for_leases(folder: Path) -> str | None:
    """Say why a folder's locks must be leases; None where its file system has file locks that all machines share.

    Raises UsageError where it has neither.
    """
    mount = mount_of(folder)
    reason = mount.local_locks() if mount is not None else None
    if reason is not None:
        # they would be given, also to a process of another machine
        reason = f"file locks of this machine alone: {reason}"
    elif (refusal := _refusal(folder)) is not None:
        reason = f"no file locks: {refusal}"
    if reason is not None:
        check_leases(folder)
        log.info("%s: %s: leases instead", folder, reason)
    return reason


def _refusal(folder: Path) -> str | None:
    """What a folder's file system says that has no file locks; None where it has them."""
    with TemporaryFile(dir=folder) as file:
        try:
            flock(file, shared=False, wait=False, patience=PATIENCE)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            return error.strerror or str(error)
    return None


def flock(file: IO[Any], shared: bool, wait: bool, patience: float) -> bool:
    """Take the system's lock of an open file; False where another process has it.

    Raises OSError where there are no locks, after `patience` seconds where a server may only be out of them.
    """
    end, warned = time.monotonic() + patience, False
    while True:
        try:
            return _flock(file, shared, wait)
        except OSError as error:
            if error.errno != errno.ENOLCK or time.monotonic() > end:
                raise
            if not warned:
                log.warning("no file lock now (%s): tried again for %g s", error.strerror, patience)
            warned = True
        time.sleep(POLL)


def _flock(file: IO[Any], shared: bool, wait: bool) -> bool:
    if fcntl is None:
        raise OSError(None, "not on this system")
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def unlock(file: IO[Any]) -> None:
    """Give back the system's lock of an open file."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_UN)


def _decided(locks: Path) -> bool | None:
    """Whether the folder's locks are leases; None where nobody has decided yet. A user may create `leases`."""
    if (locks / LEASES).exists():
        return True
    return False if (locks / FILE_LOCKS).exists() else None
