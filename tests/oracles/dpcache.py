"""DPCache's rule (arXiv 2602.22654, section 3, with the limits of its code) as tables and loops, in float64."""

from collections.abc import Sequence
from itertools import combinations
from math import inf

import torch
from torch import Tensor

from tests.oracles.planned_run import taylor


class Tables:
    """The cost C[i][j][k] of a path that was full at i, is at j, and goes to k; T is one past the last evaluation.

    Predictions are made at the places `at` of the evaluations 0 to T, by default their numbers.
    """

    def __init__(
        self, outputs: Sequence[Tensor], order: int = 2, reach: float = 0.3, at: Sequence[float] = ()
    ) -> None:
        self.T = T = len(outputs)
        known = {e: output.double() for e, output in enumerate(outputs)}
        three = [(e, known[e]) for e in (T - 3, T - 2, T - 1)]
        known[T] = 0.8 * taylor(three, T) + 0.2 * torch.stack([output for _, output in three]).mean(0)
        self.longest = max(int(T * reach), 1)
        self.C = torch.full((T, T, T + 1), inf, dtype=torch.float64)
        for i in range(1, T):
            for j in range(i + 1, T):
                error = 0.0
                kept = [(at[e] if at else e, known[e]) for e in (i - 1, i, j)][-order - 1 :]
                for k in range(j + 1, min(j + self.longest, T) + 1):
                    error += float((taylor(kept, at[k] if at else k) - known[k]).abs().mean())
                    self.C[i, j, k] = error

    def published(self, full: int) -> list[int]:
        """D[m, k] = min over j of D[m - 1, j] + C[P[m - 1, j], j, k], the first three full."""
        D = {(3, 2): 0.0}
        P = {(3, 2): 1}
        for m in range(4, full + 2):
            for k in range(3, self.T + 1):
                for j in range(2, k):
                    if (m - 1, j) not in D:
                        continue
                    cost = D[m - 1, j] + float(self.C[P[m - 1, j], j, k])
                    if cost < D.get((m, k), inf):
                        D[m, k], P[m, k] = cost, j
        path = [self.T]
        for m in range(full + 1, 3, -1):
            path.append(P[m, path[-1]])
        return [0, 1, *path[:0:-1]]

    def best(self, full: int) -> list[int]:
        """The best of all paths, tried one by one."""
        paths = [[0, 1, 2, *rest] for rest in combinations(range(3, self.T), full - 3)]
        return min(paths, key=self.cost)

    def cost(self, path: Sequence[int]) -> float:
        """What a path costs, up to the end."""
        nodes = [*path, self.T]
        return sum(float(self.C[i, j, k]) for i, j, k in zip(nodes[1:], nodes[2:], nodes[3:], strict=False))
