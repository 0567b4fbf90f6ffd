"""Run our command line in a process of its own that has no need to import torch and diffusers.

Each is a fork of a server that has imported them and has done nothing else, so that it begins where a new process is
after its imports. What the start of Python itself decides (`python -m`, its folder and environment) is for real
commands to show.
"""

import os
import runpy
import signal
import sys
from collections.abc import Sequence
from functools import cache
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import NamedTemporaryFile

IMPORTED = ("smoothbench.running.experiment", "smoothbench.report", "smoothbench.models.nano.image.model")
MORE_IMPORTED = ("metrics.frechet", "metrics.paired", "torchmetrics.functional.image", "scipy.signal")


class WarmProcess:
    """`python -m smoothbench` with these arguments, in a folder whose modules it can import."""

    def __init__(self, *arguments: str, folder: Path | None = None) -> None:
        self._outputs = [NamedTemporaryFile("r") for _ in range(2)]  # noqa: SIM115  they live as long as this
        names = [output.name for output in self._outputs]
        self._process = _context().Process(target=_command, args=(arguments, folder or Path.cwd(), *names))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit code; minus the number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    @property
    def errors(self) -> str:
        """What the process has written to its error stream so far."""
        return Path(self._outputs[1].name).read_text()

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.returncode is None:
            assert self._process.pid is not None
            os.kill(self._process.pid, number)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for the end, at most `timeout` seconds, and return what the process wrote to its two streams."""
        self._process.join(timeout)
        if self.returncode is None:
            self._process.kill()
            raise TimeoutError(f"still running after {timeout:g} s")
        return self._outputs[0].read(), self.errors


@cache  # one server for all
def _context() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload([*IMPORTED, *MORE_IMPORTED])
    return context


def _command(arguments: Sequence[str], folder: Path, out: str, errors: str) -> None:
    """Become the command: its folder, its streams, and signals as a new process has them."""
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    for name, descriptor in ((out, 1), (errors, 2)):
        file = os.open(name, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, descriptor)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    sys.argv = ["smoothbench", *arguments]
    runpy.run_module("smoothbench", run_name="__main__", alter_sys=True)
