"""LeMiCa's rule (arXiv 2511.00090, eq. 4 and 5): segments are reused one by one, and every path is tried."""

from itertools import combinations, pairwise

from torch import nn

from tests.oracles.planned_run import PlannedRun


def segment_errors(denoiser: nn.Module, evals: int, reach: int) -> dict[tuple[int, int], float]:
    """The mean absolute change of the final latents where all between i and j is reused, by (i, j)."""
    bare = PlannedRun(denoiser, range(evals), evals).final()
    errors = {}
    for i in range(evals):
        for j in range(i + 1, min(i + reach, evals - 1) + 1):
            full = [e for e in range(evals) if e <= i or e >= j]
            errors[i, j] = float((PlannedRun(denoiser, full, evals).final() - bare).abs().mean())
    return errors


def best(errors: dict[tuple[int, int], float], evals: int, full: int) -> list[int]:
    """The path with the least worst segment, then the least second worst, and so on."""
    paths = [[0, *inner, evals - 1] for inner in combinations(range(1, evals - 1), full - 2)]
    ranked = []
    for path in paths:
        segments = list(pairwise(path))
        if all(segment in errors for segment in segments):
            ranked.append((sorted((errors[segment] for segment in segments), reverse=True), path))
    return min(ranked)[1]
