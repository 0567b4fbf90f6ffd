"""A device for each of several processes: which of a machine's GPUs this process takes."""

import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from smoothbench.storage.locks import locked

log = logging.getLogger(__name__)

# set by launchers of several tasks
LOCAL_RANKS = ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK")
POLL = 1.0  # seconds between two looks for a free device


@contextmanager
def own_device(name: str) -> Iterator[str]:
    """Hold a device of this process's own within a context, and yield its name.

    Where the launcher shows each process one GPU, or the name is that of one, that is it. Else a user's processes on a
    machine share out its GPUs by locks, whatever they run, beginning at the local rank; one that finds none free waits.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name not in ("auto", "cuda") or count <= 1:
        yield name
        return
    folder, first = _folder(), _local_rank() % count
    order = [*range(first, count), *range(first)]
    for index in _free(order, folder):
        with locked(folder, _lock(index), wait=False) as mine:
            if mine:
                yield f"cuda:{index}"
                return


def _free(order: Sequence[int], folder: Path) -> Iterator[int]:
    """Yield devices to try, over and over, with a pause after each round."""
    yield from order
    log.info(
        "waiting for a GPU of this process's own: others have all %d, see %s", len(order), folder / ".locks"
    )
    while True:
        time.sleep(POLL)
        yield from order


def _folder() -> Path:
    """The folder of the locks, outside of any experiment's: those of several run beside each other."""
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    folder = Path(tempfile.gettempdir(), f"smoothbench{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _local_rank() -> int:
    """The number of this process among those of its machine; 0 where no launcher says."""
    ranks = [os.environ[name] for name in LOCAL_RANKS if os.environ.get(name, "").isdigit()]
    return int(ranks[0]) if ranks else 0


def _lock(index: int) -> str:
    """The lock of a device, which every process of the machine knows by the same name, whatever it numbers it."""
    identifier = getattr(torch.cuda.get_device_properties(index), "uuid", index)
    return f"device-{socket.gethostname()}-{identifier}"
