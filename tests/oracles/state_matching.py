"""State matching and its plan, written out in float64 for a loop x <- a x + b output."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from tests.support.guided_loop import GuidedLoop


def weights(loop: GuidedLoop, full: Sequence[int], depth: int) -> list[list[float]]:
    """Of each skipped evaluation the weights of the last outputs, and last that of the state, by least squares."""
    a, b = _coefficients(loop)
    with torch.no_grad():
        reference = [loop.noise()]
        for e in range(loop.evals):
            reference.append(loop.step(reference[-1], loop.output(reference[-1], e, lambda *_: None)))
        x, past, table = loop.noise(), list[Tensor](), list[list[float]]()
        for e in range(loop.evals):
            if e in full:
                output = loop.output(x, e, lambda *_: None)
                past = [output, *past][:depth]
                table.append([])
            else:
                features = torch.stack([v.flatten() for v in (*past, x)], 1)
                wanted = (reference[e + 1] - a * x).flatten() / b
                solved = torch.linalg.lstsq(features, wanted[:, None]).solution
                output = (features @ solved).reshape(x.shape)
                table.append(solved[:, 0].tolist())
            x = loop.step(x, output)
    return table


def cost(loop: GuidedLoop, path: Sequence[int]) -> float:
    """The squared errors of the recorded states, predicted across the gaps of a path, added up."""
    a, b = _coefficients(loop)
    with torch.no_grad():
        states, outputs = [loop.noise()], list[Tensor]()
        for e in range(loop.evals):
            outputs.append(loop.output(states[-1], e, lambda *_: None))
            states.append(loop.step(states[-1], outputs[-1]))
    total = 0.0
    for k, i in enumerate(path):
        j = path[k + 1] if k + 1 < len(path) else loop.evals
        repeated = states[i]
        for _ in range(i, j):
            repeated = a * repeated + b * outputs[i]
        if j > i + 1:
            features = [states[i], outputs[i], *([outputs[path[k - 1]]] if k else [])]
            matrix = torch.stack([v.flatten() for v in features], 1)
            left = (states[j] - repeated).flatten()
            solved = torch.linalg.lstsq(matrix, left[:, None]).solution[:, 0]
            total += float((left - matrix @ solved).square().sum())
    return total


def best(loop: GuidedLoop, full: int) -> tuple[int, ...]:
    """The cheapest path of all."""
    paths = [(0, *rest) for rest in combinations(range(1, loop.evals), full - 1)]
    return min(paths, key=lambda path: cost(loop, path))


def _coefficients(loop: GuidedLoop) -> tuple[float, float]:
    zero, one = torch.zeros(1), torch.ones(1)
    return float(loop.step(one, zero)), float(loop.step(zero, one))
