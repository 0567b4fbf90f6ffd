"""The end of a job's time on a cluster, which submitit says by raising an error wherever the job is at that moment."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TimeLimit(BaseException):
    """A job's time is over: `error` is what the handler of the cluster's signal raised.

    No Exception, as what runs just then is not to blame: a point that is recorded as failed, or a metric as refused.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@contextmanager
def time_limit() -> Iterator[None]:
    """Let an error of the handler of the cluster's signal pass all code within a context, and raise it at its end.

    Without such a handler, and outside the main thread, where there are no signals, nothing changes.
    """
    name = f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"
    number = getattr(signal, name, None)
    handler = signal.getsignal(number) if number is not None else None
    if number is None or not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def raised_anew(caught: int, frame: FrameType | None) -> None:
        try:
            handler(caught, frame)
        except Exception as error:
            raise TimeLimit(error) from error

    signal.signal(number, raised_anew)
    try:
        yield
    except TimeLimit as limit:
        raise limit.error from None
    finally:
        signal.signal(number, handler)
