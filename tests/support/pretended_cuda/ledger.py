"""What a pretended device was asked for: copies, values that the host read, waits, kernels, each with its line."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[3]
OF_PROJECT: Final = tuple(f"{ROOT / folder}/" for folder in ("smoothbench", "baselines", "metrics", "tests"))
HERE: Final = f"{Path(__file__).parent}/"

READ = "value read"  # item, tolist, nonzero and their like
WAIT = "wait"  # torch.cuda.synchronize
TO_HOST = "copy to the host"
TO_DEVICE = "copy to the device"  # from pageable memory, which CUDA first waits for
PINNED = "copy to the device from pinned memory"
SYNCHRONISES: Final = (READ, WAIT, TO_HOST, TO_DEVICE)


class Event(NamedTuple):
    """One request to the device: its kind, the operator, and the innermost line of the project that led to it."""

    kind: str
    operator: str
    line: str

    def __str__(self) -> str:
        return f"{self.line}: {self.kind} ({self.operator})"


class Ledger:
    """All events in their order, and the kernels by operator and line."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.kernels: Counter[tuple[str, str]] = Counter()

    def note(self, kind: str, operator: str) -> None:
        """Add an event that the present line of the project leads to."""
        self.events.append(Event(kind, operator, project_line()))

    def launch(self, operator: str) -> None:
        """Count a kernel that the present line of the project leads to."""
        self.kernels[operator, project_line()] += 1

    @property
    def launches(self) -> int:
        """The number of kernels."""
        return self.kernels.total()

    @contextmanager
    def since(self) -> Iterator[list[Event]]:
        """Give a list that holds, once the context ends, the events within it."""
        first, events = len(self.events), list[Event]()
        yield events
        events += self.events[first:]


def synchronisations(events: list[Event]) -> list[str]:
    """Those of the events for which the host waits until the device has done all that it was given before."""
    return [str(event) for event in events if event.kind in SYNCHRONISES]


def project_line() -> str:
    """The innermost line of the project that runs now, this folder's aside; `?` where there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(OF_PROJECT) and not file.startswith(HERE):
            return f"{Path(file).relative_to(ROOT)}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
