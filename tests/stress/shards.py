"""Run a small experiment in shards by a launcher, kill any one process at a random moment, run it again, and compare.

    python -m tests.stress.shards --launcher joblib --times 20
    python -m tests.stress.shards --launcher submitit_slurm --times 3 hydra.launcher.cpus_per_task=1

The results must be those of one process, byte for byte. Prints a line a kill; exits 1 at the first difference. With
--times 0 it compares one undisturbed run. `tests/cluster` has scripts that start a Slurm and a Ray on this machine.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.stress.kill import snapshot

COMMAND = (
    "+exp=smoke",
    "num_samples=8",
    "batch_size=2",
    "solver.steps=4",
    "metrics=[fd_nano,psnr]",
    "latency.rounds=0",
    "device=cpu",
)
FOLDER = "runs/smoke"
ERRORS = "errors.log"
PATIENCE = 30.0  # seconds in which processes must have ended after their command


def start(results: Path, *more: str) -> subprocess.Popen[bytes]:
    """The command in a session of its own, so that what it leaves can be found."""
    arguments = [sys.executable, "-m", "smoothbench", *more, *COMMAND, f"results_dir={results}"]
    results.mkdir(exist_ok=True)
    with (results / ERRORS).open(
        "a"
    ) as errors:  # a pipe would be waited for as long as anyone may write to it
        return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)


def at_work(results: Path) -> list[int]:
    """All processes of this machine that have a lock of the results open, whoever started them."""
    locks, found = str(results / FOLDER / ".locks"), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            files = [os.readlink(descriptor) for descriptor in (process / "fd").iterdir()]
        except OSError:  # it has ended, or is another user's
            continue
        if any(file.startswith(locks) for file in files):
            found.append(int(process.name))
    return sorted(found)


def kill_one(
    results: Path, parent: subprocess.Popen[bytes], seconds: float, chance: random.Random
) -> str | None:
    """Kill one of the processes, the first one included, at a random moment; which, and when. None: all had ended."""
    while parent.poll() is None and not at_work(results):
        time.sleep(0.05)
    moment = chance.uniform(0, seconds)
    started = time.perf_counter()
    while parent.poll() is None and time.perf_counter() - started < moment:
        time.sleep(0.02)
    alive = at_work(results)
    victims = [*alive, *([parent.pid] if parent.poll() is None else [])]
    if not victims:
        return None
    victim = chance.choice(victims)
    os.kill(victim, signal.SIGKILL)
    who = "the command itself" if victim == parent.pid else f"one of {len(alive)} shards at work"
    return f"{who} at {moment:.1f} s"


def settle(results: Path) -> None:
    """Wait until nobody is at work any more: shards outlive a killed command with some launchers."""
    while at_work(results) or started_for(results):
        time.sleep(0.2)


def started_for(results: Path) -> list[int]:
    """All processes with the results folder in their command line, as jobs of submitit have it from their start."""
    numbers = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if str(results).encode() in (process / "cmdline").read_bytes():
                numbers.append(int(process.name))
    return numbers


def end_of(command: subprocess.Popen[bytes], results: Path) -> str:
    """Wait for a command of which a process was killed; stop one that has not noticed, and say so.

    submitit asks Slurm every ten minutes how its jobs are.
    """
    idle = time.perf_counter()
    while command.poll() is None:
        if at_work(results) or set(started_for(results)) - {command.pid}:
            idle = time.perf_counter()
        if time.perf_counter() - idle > PATIENCE:
            command.terminate()
            command.wait()
            return ", which its command had not noticed"
        time.sleep(0.2)
    return ""


def end_session(process: subprocess.Popen[bytes]) -> int:
    """Wait for the processes of a command that has ended; kill those that stay, and return how many that were."""
    end = time.perf_counter() + PATIENCE
    while (left := of_session(process.pid)) and time.perf_counter() < end:
        time.sleep(0.2)
    for number in left:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    return len(left)


def of_session(session: int) -> list[int]:
    """The processes of a session."""
    numbers = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                numbers.append(int(process.name))
    return numbers


def until_complete(results: Path, shards: Sequence[str]) -> int:
    """Run the same command again until it ends well; how often that took."""
    for times in range(1, 4):
        process = start(results, *shards)
        process.wait(timeout=3600)
        settle(results)
        if process.returncode == 0:
            return times
    raise AssertionError(f"exit code {process.returncode}: {(results / ERRORS).read_text()[-2000:]}")


def compare(results: Path, expected: dict[str, str]) -> None:
    """Raise AssertionError where the results are not those of one process."""
    now = snapshot(results)
    different = sorted(name for name in expected.keys() | now.keys() if expected.get(name) != now.get(name))
    assert not different, f"{results}: {different[:5]}"
    assert not list((results / FOLDER).glob("shards/*")), "folders of shards were left"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--launcher", default="joblib")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="of the results; one that all nodes see")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    shards = ("-m", f"shards={args.shards}", f"hydra/launcher={args.launcher}", *args.overrides)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        assert start(Path(folder) / "whole").wait() == 0
        expected = snapshot(Path(folder) / "whole")
        started = time.perf_counter()
        until_complete(Path(folder) / "shards", shards)
        seconds = time.perf_counter() - started
        compare(Path(folder) / "shards", expected)
        print(f"{args.shards} shards: the {len(expected)} files of one process, {seconds:.0f} s", flush=True)
        kills = tries = 0
        while kills < args.times:
            tries += 1
            results = Path(folder) / str(tries)
            process = start(results, *shards)
            how = kill_one(results, process, seconds, chance)
            noticed = end_of(process, results)
            settle(results)
            left = end_session(process)
            if how is None:  # the machine is less busy now
                seconds *= 0.6
                continue
            kills += 1
            again = until_complete(results, shards)
            compare(results, expected)
            stayed = f", {left} processes stayed" if left else ""
            print(
                f"{kills}/{args.times}: killed {how}{noticed}; the same after {again} more{stayed}",
                flush=True,
            )


if __name__ == "__main__":
    main()
