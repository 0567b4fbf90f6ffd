"""What all commands share: handling of signals, robust output streams, exit codes and the last line of an error."""

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

STOPPING = ("SIGTERM", "SIGHUP")  # sent by clusters and closed terminals; SIGINT is handled by Python
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
    """A signal, of this number, asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Stream:
    """A text stream that raises no error when its reader is gone or its encoding lacks a character.

    Text that nobody reads any more (`| head -1`, a closed terminal) is dropped; characters that the encoding lacks
    are replaced by similar ones, or by `?`.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write the text as far as possible; return its length."""
        try:
            self._attempt(lambda: self.stream.write(text))
        except UnicodeEncodeError as error:
            plain = text.translate(PLAIN).encode(error.encoding, "replace").decode(error.encoding)
            self._attempt(lambda: self.stream.write(plain))
        return len(text)

    def flush(self) -> None:
        """Flush the stream if it still has a reader."""
        self._attempt(self.stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.stream.closed:
            return
        try:
            action()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # other errors, as of a full disk, are reported
                raise
            with suppress(OSError):  # buffered text goes to the null device, also when Python ends
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.stream.fileno())
                os.close(nowhere)


@contextmanager
def streams() -> Iterator[None]:
    """Make the output and the error stream a `Stream` within a context."""
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
    """Make SIGTERM and SIGHUP raise Stopped within a context, so that they end a command as Ctrl-C does.

    Signals that are ignored (nohup) or handled already stay so; outside the main thread nothing changes.
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
    """Run a command; return the exit code that `work` gives, or 128 + the number of the signal that stopped it.

    A stopped command ends with one line on the error stream that contains `interrupted`.
    """
    os.environ["MPLBACKEND"] = "agg"  # draws without a display, also where a notebook has set another backend
    with streams():
        try:
            with stoppable():
                return work()
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Stopped) else signal.SIGINT
            how = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
            return end(f"{how}: {interrupted}", 128 + number)


def parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Make the parser of `python -m <module>`, whose help keeps the line breaks of the description."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def main(work: Callable[[], int | None], interrupted: str) -> int:
    """Run a command other than `python -m smoothbench`, with a log of warnings alone; return its exit code.

    0, or what `work` returns: done. 1: the machine failed, for instance by a full disk (OSError). 2: the request
    cannot be met (ValueError). 128 + a signal's number: stopped, with a last line that ends with `interrupted`.
    Each error is one line on the error stream; its traceback goes to the log at debug level.
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
    """Print an error as one line on the error stream; return the exit code."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return code
