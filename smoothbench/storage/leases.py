"""Leases: locks for file systems without file locks, as files that their holder keeps young while it lives."""

import json
import logging
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from smoothbench.errors import UsageError
from smoothbench.storage.files import read_json, scratch

log = logging.getLogger(__name__)

BEAT: Final = 5.0  # seconds between two touches of a lease by its holder
EXPIRY: Final = (
    60.0  # seconds after which a lease that nobody touched is nobody's; a paused holder is back by then
)
POLL: Final = 0.2  # seconds between two looks at a lease that is waited for


def check_leases(folder: Path) -> None:
    """Raise UsageError where files cannot be created exclusively, which is all that a lease needs."""
    path = scratch(folder / "lease")
    try:
        _create(path)
        if _create(path):
            raise UsageError(
                f"{folder}: its file system has neither file locks nor files that only one process can create, "
                "without which two processes could spoil each other's results: choose another results_dir=..."
            )
    finally:
        path.unlink(missing_ok=True)


class Lease:
    """A lock of one name, exclusive or shared, held by files that a thread touches as long as the process lives.

    `NAME.lease` holds it exclusively, `NAME.TOKEN.shared` for one of several. Whoever takes a lease creates its file
    first and looks for the others' then, so that of two that begin at once at most one gets it. Ages are read off the
    file system's own clock, because those of two machines may differ. A holder that was killed holds for another
    `EXPIRY` seconds; on its own machine, no longer than its process.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._token = path, secrets.token_hex(8)
        self._held: Path | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, shared: bool, wait: bool) -> bool:
        """Take the lease instead of what this object holds of it; False where others have it and `wait` is false."""
        self.free()
        while not (self._share(wait) if shared else self._own()):
            if not wait:
                return False
            time.sleep(POLL)
        return True

    def free(self) -> None:
        """Give back what this object holds."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        if self._held is not None and _holder(self._held) == self._token:
            self._held.unlink(missing_ok=True)
        self._held, self._thread = None, None

    @property
    def _exclusive(self) -> Path:
        return self.path.with_name(f"{self.path.name}.lease")

    def _own(self) -> bool:
        """Try to be the only holder: once, or again where the sharers left while this try kept them from it."""
        while self._created(self._exclusive):
            if not self._is_shared():
                return True
            self.free()
            if self._is_shared():
                return False
        return False

    def _is_shared(self) -> bool:
        """Whether others share the lease; the files of dead ones are deleted."""
        alive = False
        for path in self.path.parent.glob(f"{self.path.name}.*.shared"):
            if _alive(path):
                alive = True
            else:
                path.unlink(missing_ok=True)
        return alive

    def _share(self, wait: bool) -> bool:
        """Try once to be one of the holders; a file of one that waits stays, so that nobody becomes the only one."""
        if self._held is None:
            self._created(self.path.with_name(f"{self.path.name}.{self._token}.shared"))
        if not _alive(self._exclusive):
            return True
        if not wait:
            self.free()
        return False

    def _created(self, path: Path) -> bool:
        """Create a file of this lease, in place of one whose holder is dead, and begin to touch it."""
        if not (_create(path, self._token) or (_replaced(path) and _create(path, self._token))):
            return False
        self._held, self._stopped = path, threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(path, self._stopped), daemon=True)
        self._thread.start()
        return True

    def _beat(self, path: Path, stopped: threading.Event) -> None:
        while not stopped.wait(BEAT):
            with suppress(OSError):  # a server that does not answer now may do so at the next beat
                if _holder(path) not in (self._token, None):
                    log.error("%s: another process took this lease, as this one stood still too long", path)
                    return
                os.utime(path)  # without a time: the file system's clock


def _create(path: Path, token: str = "") -> bool:
    """Create a file that names this process; False where it exists."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        json.dump({"token": token, "machine": _machine(), "process": os.getpid()}, file)
    return True


def _replaced(path: Path) -> bool:
    """Delete a lease of a dead holder; only one process does so at a time, or it might delete the next one's."""
    if _alive(path):
        return False
    breaking = path.with_name(f"{path.name}.breaking")
    if not _create(breaking):
        if not _alive(breaking):
            breaking.unlink(missing_ok=True)  # of one that was killed within this function
        return False
    try:
        dead = not _alive(path)
        if dead:
            path.unlink(missing_ok=True)
        return dead
    finally:
        breaking.unlink(missing_ok=True)


def _alive(path: Path) -> bool:
    """Whether a lease is there, and its holder with it."""
    content = read_json(path)
    # no content: there is none, or it is being written
    if isinstance(content, dict) and content["machine"] == _machine() and not _running(content["process"]):
        return False
    age = _age(path)
    return age is not None and age < EXPIRY


def _holder(path: Path) -> str | None:
    content = read_json(path)
    return str(content["token"]) if isinstance(content, dict) else None


def _age(path: Path) -> float | None:
    """Seconds since a file was touched, by the clock of its file system; None where there is none."""
    try:
        touched = path.stat().st_mtime
    except FileNotFoundError:
        return None
    clock = scratch(path)
    descriptor = os.open(clock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    try:
        return os.fstat(descriptor).st_mtime - touched  # by its descriptor: who tidies up may delete it
    finally:
        os.close(descriptor)
        clock.unlink(missing_ok=True)


def _machine() -> str:
    """Name the machine since its start, and the numbering of its processes, of which each container has its own."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _running(process: object) -> bool:
    """Whether a process of this machine is there; one that nobody can ask for counts as there."""
    if not isinstance(process, int) or process <= 0 or os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
