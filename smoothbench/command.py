"""What all commands have in common: signals, output streams, and their last line where something went wrong."""

import argparse
import errno
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any, TextIO, cast

log = logging.getLogger(__name__)

STOPPING = ("SIGTERM", "SIGHUP")  # how clusters and lost terminals stop a job; SIGINT is Python's own
PLAIN = str.maketrans(
    {
        "\u25b2": "^",
        "\u25bc": "v",
        "\u2191": "^",
        "\u2193": "v",
        "\u00b1": "+-",
        "\u00d7": "x",
        "\u2026": "...",
    }
)


class Stopped(KeyboardInterrupt):
    """The process was told to end, by the signal of this number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Stream:
    """A text stream that outlives its reader, and takes every letter.

    What nobody reads any more (`| head -1`, a terminal that is gone) is dropped; what the encoding has not is
    replaced by what looks like it, or by `?`.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        try:
            self._attempt(lambda: self.stream.write(text))
        except UnicodeEncodeError as error:
            plain = text.translate(PLAIN).encode(error.encoding, "replace").decode(error.encoding)
            self._attempt(lambda: self.stream.write(plain))
        return len(text)

    def flush(self) -> None:
        """Send on what can be sent."""
        self._attempt(self.stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.stream.closed:
            return
        try:
            action()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # a full disk is to be told
                raise
            with suppress(OSError):  # what is still buffered goes nowhere, also when Python ends
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.stream.fileno())
                os.close(nowhere)


@contextmanager
def streams() -> Iterator[None]:
    """While in it, the output and the error stream are of the kind above."""
    with ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None or isinstance(stream, Stream):  # None: closed from the start
                continue
            wrapped = Stream(stream)
            setattr(sys, name, cast(TextIO, wrapped))
            stack.callback(setattr, sys, name, stream)
            stack.callback(wrapped.flush)
        yield


@contextmanager
def stoppable() -> Iterator[None]:
    """While in it, SIGTERM and SIGHUP raise Stopped, so that they end a command as Ctrl-C does.

    Signals that were ignored (nohup) or handled before stay so; only the main thread can change that.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    mine = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        mine = []
    try:
        for number in mine:
            signal.signal(number, stop)
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


def run(work: Callable[[], int], interrupted: str) -> int:
    """The exit code of a command: what `work` says, or 128 + the signal that stopped it, after one line.

    Pictures are drawn without a display, whatever a notebook has told the environment.
    """
    os.environ["MPLBACKEND"] = "agg"
    with streams():
        try:
            with stoppable():
                return work()
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Stopped) else signal.SIGINT
            how = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
            return end(f"{how}: {interrupted}", 128 + number)


def parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """The parser of `python -m <module>`, whose help shows the description as it is written."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def main(work: Callable[[], int | None], interrupted: str) -> int:
    """Carry out a command other than the benchmark's own, whose log shows warnings alone; its exit code.

    0: done, or what `work` returns. 1: it failed for a reason of the machine's, such as a full disk (OSError).
    2: the request cannot be met (ValueError). 128 + a signal's number: stopped, and then the last line ends with
    `interrupted`. Each error is one line on the error stream; a log of debug level has its traceback too.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    return run(lambda: _attempt(work), interrupted)


def _attempt(work: Callable[[], int | None]) -> int:
    try:
        return work() or 0
    except (ValueError, OSError) as error:
        log.debug("", exc_info=True)
        return end(error, 2 if isinstance(error, ValueError) else 1)


def end(error: object, code: int) -> int:
    """Say on the error stream, in one line, what went wrong; the exit code."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return code
