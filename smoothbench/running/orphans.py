"""Processes that a launcher started and whose command was killed: they end too, instead of waiting for it for good."""

import os
import signal
import threading
import time
from typing import Final

NAME: Final = "end with the command"  # of the thread that looks
POLL: Final = 1.0  # seconds between two looks for the command


def end_with(command: int, poll: float = POLL) -> None:
    """End this process soon after the process of a command, its parent, is gone; nothing where it is no child of it.

    Nobody reads the results of such a process: it would wait for ever to hand them over, with its memory and its GPU.
    What it has drawn so far stays.
    """
    watched = any(thread.name == NAME for thread in threading.enumerate())
    if watched or os.name != "posix" or os.getppid() != command:  # elsewhere a parent's number stays
        return

    def watch() -> None:
        while os.getppid() == command:
            time.sleep(poll)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name=NAME, daemon=True).start()
