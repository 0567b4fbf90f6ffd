"""Checks of the results folder: locks between processes, speed, and free space."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from smoothbench.running.doctor.finding import Check, Finding, judged
from smoothbench.sibling_packages import ROOT
from smoothbench.storage.files import write_atomic
from smoothbench.storage.leases import EXPIRY
from smoothbench.storage.lock_kind import check_locks
from smoothbench.storage.locks import locked

SLOW = 0.05  # seconds to write a sample's file; more, and a run of small images waits for its disk
WRITES, BYTES = 10, 100_000
LITTLE = 20e9  # bytes; the paper's image experiments write several GB
ANOTHER = (
    "import pathlib, sys; from smoothbench.storage.locks import locked\n"
    "with locked(pathlib.Path(sys.argv[1]), 'doctor', wait=False) as free: sys.exit(0 if free else 3)"
)


def checks(results_dir: Path) -> list[Check]:
    """The checks of the folder that results go to; it need not exist yet."""
    place = next(path for path in (results_dir.absolute(), *results_dir.absolute().parents) if path.is_dir())
    return [
        Check("results folder: locks", lambda: _locks(place)),
        Check("results folder: speed", lambda: _speed(place)),
    ]


def _locks(place: Path) -> Iterator[Finding]:
    """Another process must be kept out: where locks are emulated, a second one of this process would not be."""
    with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-") as scratch:
        folder = Path(scratch)
        files = check_locks(folder)
        with locked(folder, "doctor"):
            command = [sys.executable, "-c", ANOTHER, str(folder)]
            refused = subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 3
    if refused and not files:
        yield Finding(
            "warn",
            "results folder: locks",
            f"{place}: no file locks; leases keep another process out",
            f"what a killed process held stays so for up to {EXPIRY:.0f} s: a disk with file locks is better",
        )
        return
    yield judged(
        refused,
        "results folder: locks",
        f"{place}: another process is {'kept out' if refused else 'let in'}",
        "two processes could spoil each other's results: take a results_dir on another disk, or mount it with flock",
    )


def _speed(place: Path) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-") as scratch:
        started = time.perf_counter()
        for number in range(WRITES):
            write_atomic(Path(scratch, str(number)), bytes(BYTES))
        seconds = (time.perf_counter() - started) / WRITES
    free = shutil.disk_usage(place).free
    yield judged(
        seconds <= SLOW,
        "results folder: speed",
        f"{1e3 * seconds:.1f} ms to write {BYTES // 1000} kB safely",
        "samples are written one by one: take a results_dir on a faster disk",
        otherwise="warn",
    )
    yield judged(
        free >= LITTLE,
        "results folder: space",
        f"{free / 1e9:.0f} GB free",
        "keep_samples=false deletes samples once they are scored",
        otherwise="warn",
    )
