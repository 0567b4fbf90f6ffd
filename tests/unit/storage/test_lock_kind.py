"""One kind of lock for all processes of a results folder, also where a server is out of locks for a moment."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smoothbench.errors import UsageError
from smoothbench.storage import lock_kind, locks
from smoothbench.storage.lock_kind import by_lease
from smoothbench.storage.locks import locked

# takes a lock over and over; argument 2: of how many tries the system refuses each but the last
WORKS = """
import errno, fcntl, itertools, os, sys
from pathlib import Path
from smoothbench.storage import leases, lock_kind, locks

folder, refusals, tries, flock = Path(sys.argv[1]), int(sys.argv[2]), itertools.count(1), fcntl.flock
leases.POLL = lock_kind.POLL = 0.002
lock_kind.PATIENCE, locks.PATIENCE = 0.2, 0.5

def out_of_locks(file, operation):
    if operation != fcntl.LOCK_UN and next(tries) % refusals:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    flock(file, operation)

fcntl.flock = out_of_locks
sys.stdin.readline()
for _ in range(20):
    with locks.locked(folder, "mine"):
        os.close(os.open(folder / "alone", os.O_CREAT | os.O_EXCL))  # FileExistsError: another has the lock too
        os.unlink(folder / "alone")
print(lock_kind.by_lease(folder))
"""


def refusing(number: int, times: int = 10**6) -> Callable[..., None]:
    """A system call that refuses locks so many times."""
    flock, left = fcntl.flock, [times]

    def call(file: Any, operation: int) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(number, os.strerror(number))
        flock(file, operation)

    return call


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_kind, "POLL", 0.001)
    monkeypatch.setattr(locks, "PATIENCE", 0.1)


def test_a_moment_without_locks_neither_changes_the_kind_nor_lets_another_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(tmp_path, "a"):
        monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK, times=3))
        with locked(tmp_path, "a", wait=False) as mine:
            assert not mine
        monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK, times=3))
        with locked(tmp_path, "b", wait=False) as mine:
            assert mine
    assert not by_lease(tmp_path) and not (tmp_path / ".locks/leases").exists()


def test_a_moment_without_locks_does_not_decide_for_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK, times=3))
    assert not by_lease(tmp_path)


def test_whose_folder_has_leases_takes_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", refusing(errno.ENOTSUP))
        assert by_lease(tmp_path)
        without = locked(tmp_path, "a")
        without.__enter__()
    with locked(tmp_path, "a", wait=False) as mine:  # the system would give it
        assert not mine
    without.__exit__(None, None, None)
    with locked(tmp_path, "a", wait=False) as mine:
        assert mine and list(tmp_path.glob(".locks/a.lease"))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_one_machine_without_the_locks_of_the_others_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    assert not by_lease(tmp_path)
    monkeypatch.setattr(fcntl, "flock", refusing(number))
    with pytest.raises(UsageError) as error, locked(tmp_path, "a"):
        pass
    text = str(error.value)
    assert text.startswith(f"{tmp_path}: its processes use file locks, and this one gets none (")
    assert f"create {tmp_path}/.locks/leases" in text and "\n" not in text
    (tmp_path / ".locks/leases").touch()
    with locked(tmp_path, "a", wait=False) as mine:
        assert mine


@pytest.mark.parametrize("refusals", [(1, 2, 2, 3), (10**6, 10**6, 10**6, 2)])
def test_processes_that_begin_at_once_take_one_kind_and_turns(
    tmp_path: Path, refusals: tuple[int, ...]
) -> None:
    """The second time three of them never get a lock of the system: these decide, or are refused."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKS, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in refusals
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    ends = [worker.communicate(timeout=60) for worker in workers]
    refused = [errors for _, errors in ends if "its processes use file locks" in errors]
    kinds = [kind for kind, errors in ends if errors not in refused]
    assert len(set(kinds)) == 1, ends
    assert not refused or kinds[0] == "False\n"
    assert len(list(tmp_path.glob(".locks/leases")) + list(tmp_path.glob(".locks/file_locks"))) == 1
