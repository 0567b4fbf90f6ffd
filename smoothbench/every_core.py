"""`python -m smoothbench.every_core +exp=dit_ddim`: the same command on each core of this machine, one thread each.

The processes share the results folder: each takes points that no other works on, and the last one measures latency
and reports. One thread a process never waits for another, so cores that are busy otherwise make a run slower in
proportion, not more. Tables and the headline picture stand once three points are done, and grow as others follow.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from smoothbench import command, sibling_packages
from smoothbench.storage.locks import locked
from smoothbench.storage.record_files import record_files

FIRST = 3  # points of the first table: the reference and two others
MOST = 4  # processes: each holds a model
POLL = 0.5  # seconds between two looks at what is done
Processes = list["subprocess.Popen[bytes]"]


def main() -> int:
    """Run the command on every core; exit codes as of `python -m smoothbench`."""
    arguments = sys.argv[1:]
    folder = results_folder(arguments)
    if folder is None:  # one process says what is wrong
        return subprocess.call(_command(arguments))
    code = run(_command(arguments), folder, min(cores(), MOST))
    if not code:
        from smoothbench.report import summary

        print(summary(folder))
    return code


def run(command_line: Sequence[str], folder: Path, count: int) -> int:
    """Run `count` processes of a command that works in a results folder, and write tables while they do.

    The first process alone speaks, on the error stream. Returns the worst exit code; signals end all processes, and
    the code is 128 plus the signal's number then.
    """
    growing = GrowingReport(folder)
    try:
        with command.stoppable(), _started(command_line, count) as processes:
            while any(process.poll() is None for process in processes):
                growing.look()
                time.sleep(POLL)
    except KeyboardInterrupt as stop:
        return 128 + (stop.number if isinstance(stop, command.Stopped) else signal.SIGINT)
    codes = [code if code >= 0 else 128 - code for code in (process.returncode for process in processes)]
    if max(codes) and not codes[0]:
        print(
            f"error: a process beside the first ended with exit code {max(codes)}: the same command says why",
            file=sys.stderr,
        )
    return max(codes)


class GrowingReport:
    """Writes tables and the headline picture of the points that are done, each time twice as many are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._next = max(FIRST, 2 * len(record_files(folder)))

    def look(self) -> bool:
        """Write them if it is time; whether it was."""
        count = len(record_files(self.folder))
        if count < self._next:
            return False
        self._next = 2 * count
        from smoothbench.report import write  # not at the top: the processes start first

        try:
            with locked(self.folder, "report", wait=False) as free:
                paths = write(self.folder, brief=True) if free else []
        except (OSError, ValueError):  # for instance a full disk, which the run reports itself
            return False
        if paths:
            print(f"{count} points are done: {paths[0]}", file=sys.stderr)
        return bool(paths)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def results_folder(arguments: Sequence[str]) -> Path | None:
    """Return the results folder of a command line; None where it has options or cannot be composed."""
    if any(argument.startswith("-") for argument in arguments):
        return None
    try:
        with initialize_config_dir(str(sibling_packages.ROOT / "conf"), version_base="1.3"):
            cfg = compose("config", list(arguments))
        return Path(cfg.results_dir).absolute() / "runs" / str(cfg.experiment)
    except (HydraException, OmegaConfBaseException, TypeError):
        return None


@contextmanager
def _started(command_line: Sequence[str], count: int) -> Iterator[Processes]:
    """The processes within a context, which ends those that still run when it is left."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    processes: Processes = []
    try:
        for number in range(count):
            errors = subprocess.DEVNULL if number else None
            processes.append(
                subprocess.Popen(
                    command_line,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    start_new_session=True,  # Ctrl-C reaches this process alone, which ends the others
                )
            )
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "smoothbench", *arguments]


if __name__ == "__main__":
    sys.exit(main())
