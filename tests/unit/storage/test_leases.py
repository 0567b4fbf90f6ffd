"""Leases: one holder at a time or several that share, given back, and taken over from the dead."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from smoothbench.storage import leases
from smoothbench.storage.leases import Lease

HOLDS = "import sys, time; from pathlib import Path; from smoothbench.storage.leases import Lease\n" + (
    "print(Lease(Path(sys.argv[1])).take(shared=False, wait=True), flush=True); time.sleep(60)"
)


def test_one_holds_it_or_several_share_it(tmp_path: Path) -> None:
    one, two, three = (Lease(tmp_path / "lock") for _ in range(3))
    assert one.take(shared=False, wait=False)
    assert not two.take(shared=False, wait=False) and not two.take(shared=True, wait=False)
    one.free()
    assert two.take(shared=True, wait=False) and three.take(shared=True, wait=False)
    assert not one.take(shared=False, wait=False)
    two.free()
    three.free()
    assert one.take(shared=False, wait=False)
    one.free()
    assert not list(tmp_path.iterdir())


def test_of_two_that_stop_sharing_at_once_one_is_the_only_holder(tmp_path: Path) -> None:
    other = Lease(tmp_path / "lock")
    assert other.take(shared=True, wait=False)

    class Overtaken(Lease):
        """Lets the other try, in vain, while this one's own try is not given back yet."""

        taken: bool | None = None

        def free(self) -> None:
            if self._held is not None and self.taken is None:
                self.taken = other.take(shared=False, wait=False)
            super().free()

    mine = Overtaken(tmp_path / "lock")
    won = mine.take(shared=False, wait=False)
    assert [won, mine.taken].count(True) == 1
    mine.free()
    other.free()


def test_what_a_killed_process_of_this_machine_held_is_free_at_once(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdout.readline() == b"True\n"
    mine = Lease(tmp_path / "lock")
    assert not mine.take(shared=False, wait=False)
    other.kill()
    other.wait()
    other.stdout.close()
    assert mine.take(shared=False, wait=False)
    mine.free()


def test_what_another_machine_held_is_free_once_it_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lock.lease").write_text(json.dumps({"token": "t", "machine": "elsewhere", "process": 1}))
    mine = Lease(tmp_path / "lock")
    assert not mine.take(shared=False, wait=False)
    past = time.time() - leases.EXPIRY - 1
    os.utime(tmp_path / "lock.lease", (past, past))
    assert mine.take(shared=False, wait=False) and not Lease(tmp_path / "lock").take(shared=True, wait=False)
    mine.free()


def test_a_holder_keeps_its_lease_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.02)
    mine = Lease(tmp_path / "lock")
    assert mine.take(shared=True, wait=False)
    (file,) = tmp_path.iterdir()
    os.utime(file, (1, 1))
    for _ in range(500):
        time.sleep(0.01)
        if file.stat().st_mtime > 1:
            break
    assert file.stat().st_mtime > 1
    mine.free()


def test_of_many_at_once_one_takes_over_from_the_dead(tmp_path: Path) -> None:
    (tmp_path / "lock.lease").write_text(json.dumps({"token": "t", "machine": "elsewhere", "process": 1}))
    os.utime(tmp_path / "lock.lease", (1, 1))
    holders = [Lease(tmp_path / "lock") for _ in range(8)]
    taken: list[bool] = []
    tries = [
        threading.Thread(target=lambda each=each: taken.append(each.take(shared=False, wait=False)))
        for each in holders
    ]
    for thread in tries:
        thread.start()
    for thread in tries:
        thread.join()
    assert taken.count(True) <= 1
    assert sum(each.take(shared=False, wait=False) for each in holders) == 1
    for each in holders:
        each.free()


def test_who_waits_gets_it_when_it_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "POLL", 0.01)
    mine, other = Lease(tmp_path / "lock"), Lease(tmp_path / "lock")
    assert mine.take(shared=False, wait=False)
    threading.Timer(0.1, mine.free).start()
    assert other.take(shared=True, wait=True)
    other.free()
