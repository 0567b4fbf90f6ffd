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
from smoothbench.storage.lock_kind import reason_for_leases
from smoothbench.storage.locks import locked
from smoothbench.storage.mount import mount_of

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
        reason = reason_for_leases(folder)
        with locked(folder, "doctor"):
            command = [sys.executable, "-c", ANOTHER, str(folder)]
            refused = subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 3
    mount = mount_of(place)
    system = mount.kind if mount is not None else "unknown file system"
    kind = "file locks" if reason is None else f"leases ({reason})"
    measured = f"{place}: {system}, {kind}; another process is {'kept out' if refused else 'let in'}"
    if refused and reason is not None:
        advice = (
            f"what a killed process held stays so for up to {EXPIRY:.0f} s: a disk with file locks is better"
        )
        yield Finding("warn", "results folder: locks", measured, advice)
        return
    yield judged(
        refused,
        "results folder: locks",
        measured,
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
