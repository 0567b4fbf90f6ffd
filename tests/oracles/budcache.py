"""What BudCache searches for (arXiv 2606.13496): the mask that changes the final latents least, by trying them all."""

from itertools import combinations

from torch import nn

from tests.oracles.planned_run import PlannedRun


def losses(denoiser: nn.Module, evals: int, full: int) -> dict[tuple[int, ...], float]:
    """The mean squared change of the final latents under every mask whose first quarter is full."""
    fixed = max(1, full // 4)
    bare = PlannedRun(denoiser, range(evals), evals).final()
    found = {}
    for rest in combinations(range(fixed, evals), full - fixed):
        mask = (*range(fixed), *rest)
        found[mask] = float((PlannedRun(denoiser, mask, evals).final() - bare).square().mean())
    return found
