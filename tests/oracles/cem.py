"""CEM's rule (arXiv 2512.23258 and its code): every placing of full evaluations within the gaps is tried."""

from collections.abc import Sequence
from itertools import combinations, pairwise
from math import inf

import torch
from torch import Tensor


def error(streams: Sequence[Tensor], t: int, lag: int) -> float:
    """One minus the cosine of the mean tokens at t and t - lag, the mean over samples; rows r and r + 2 are one's."""
    now, before = (streams[e].double().mean(1) for e in (t, t - lag))
    samples = len(now) // 2
    cosines = []
    for s in range(samples):
        a, b = torch.cat([now[s], now[s + samples]]), torch.cat([before[s], before[s + samples]])
        cosines.append(float(a @ b / (a.norm() * b.norm())))
    return 1 - sum(cosines) / samples


def best(streams: Sequence[Tensor], full: int, slack: int = 1, power: int = 2) -> list[int] | None:
    """The best placing of `full` full evaluations; None where gaps within the limits lead nowhere."""
    T = len(streams)
    usual = round(T / full)
    found: tuple[float, list[int] | None] = (inf, None)
    for inner in combinations(range(1, T - 1), full - 2):
        path = [0, *inner, T - 1]
        gaps = [b - a for a, b in pairwise(path)]
        if not all(max(1, usual - slack) <= gap <= min(10, usual + slack) for gap in gaps):
            continue
        cost = 0.0
        for t, gap in zip(path[1:], gaps, strict=True):
            lag = gap - 1
            so_far = sum(error(streams, s, lag) for s in range(lag, t + 1)) if lag else 0.0
            cost += so_far * lag**power
        if cost < found[0]:
            found = cost, path
    return found[1]
