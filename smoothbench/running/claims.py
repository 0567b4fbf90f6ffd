"""Which process works on which point: each is claimed by a lock of its samples."""

from collections import deque
from collections.abc import Iterator, Sequence

from smoothbench.planning.point import Point
from smoothbench.running.todo import is_done
from smoothbench.running.workbench import Workbench


def claimed(bench: Workbench, points: Sequence[Point]) -> Iterator[Point]:
    """The points that are not done, each while its lock is held, the reference first.

    A point that another process works on is tried again after the others; once all that are left are in other hands,
    the first is waited for. What another process has finished meanwhile is left out.
    """
    waiting, refused = deque(points), 0
    while waiting:
        point = waiting.popleft()
        wait = point is bench.reference or refused > len(waiting)
        with bench.store.lock(point.sample_id, wait=wait) as acquired:
            if not acquired:
                waiting.append(point)
                refused += 1
                continue
            refused = 0
            if not is_done(bench, point):
                yield point
