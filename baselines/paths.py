"""The cheapest path through the evaluations of a run, by dynamic programming."""

from collections.abc import Callable, Iterable
from typing import Any

Path = tuple[int, ...]  # evaluations that compute everything, in order
Cost = Any  # what can be compared: a number, or a tuple of them
Onward = Callable[[Path, Cost], Iterable[tuple[int, Cost]]]


def cheapest_path(
    start: Path, nodes: int, end: int, nothing: Cost, onward: Onward, remembers: int = 1
) -> Path:
    """Return the cheapest path of so many nodes that begins with `start` and finishes at `end`.

    Of all paths that share their last `remembers` nodes only the cheapest is followed: the result is exact where
    costs from there on depend on no earlier node. Args: nothing, the cost of `start`; onward, gives for a path and its
    cost each next node with the cost up to it. There must be a path.
    """
    best: dict[Path, tuple[Cost, Path]] = {start[-remembers:]: (nothing, start)}
    for _ in range(nodes - len(start)):
        longer: dict[Path, tuple[Cost, Path]] = {}
        for cost, path in best.values():
            for node, total in onward(path, cost):
                known = longer.get((*path, node)[-remembers:])
                if known is None or total < known[0]:
                    longer[(*path, node)[-remembers:]] = total, (*path, node)
        best = longer
    return min((cost, path) for cost, path in best.values() if path[-1] == end)[1]
