"""State matching below the denoiser's output: weights of all branches, or of the span, that lead to the next state."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from smoothbench.caching import Schedule, WeightedSum
from smoothbench.caching.hooks import intercepted
from smoothbench.caching.least_squares import ridge_weights
from smoothbench.caching.outputs import Rebuild, take_apart
from smoothbench.caching.site_wraps import Observer, site_wraps
from smoothbench.caching.sites import Site
from smoothbench.report.studies.fitted.bench import Bench
from smoothbench.sampling.loop import SeededNoise, silent, solver_states

STEP = 0.05  # of a weight, in the difference quotients of the next state: it is nearly linear in them


class Weighed(Observer):
    """Computes all sites, or gives weighted sums of their last `depth` outputs: `weights[i]` are those of site i."""

    def __init__(self, count: int, depth: int) -> None:
        super().__init__()
        self.depth, self.computes = depth, True
        self.weights = torch.zeros(count, 0, dtype=torch.float64)
        # tensors of the outputs, the newest first
        self._kept: list[list[list[Tensor]]] = [[] for _ in range(count)]
        self._rebuilds: dict[int, Rebuild] = {}

    @property
    def history(self) -> int:
        """The number of outputs that are kept of a site."""
        return len(self._kept[0])

    def enter(self, i: int) -> bool:
        """Site `i` is reached."""
        return self.computes and super().enter(i)

    def keep(self, i: int, output: Any) -> None:
        """Keep the output of site `i`."""
        super().keep(i, output)
        leaves, self._rebuilds[i] = take_apart(output, "a site")
        self._kept[i] = [leaves, *self._kept[i]][: self.depth]

    def predict(self, i: int) -> Any:
        """Return the weighted sum of site `i`."""
        row: Sequence[float] = self.weights[i].tolist()
        tensors = zip(*self._kept[i], strict=True)
        return self._rebuilds[i]([_combined(row, of_outputs) for of_outputs in tensors])


def _combined(weights: Sequence[float], outputs: Sequence[Tensor]) -> Tensor:
    total = outputs[0] * weights[0]
    for weight, output in zip(weights[1:], outputs[1:], strict=True):
        total.add_(output, alpha=weight)
    return total


@torch.no_grad()
def site_weights(
    bench: Bench, sites: Sequence[Site], schedule: Schedule, seeds: Sequence[int], depth: int, ridge: float
) -> WeightedSum:
    """Return weights of each site at each skipped evaluation, by least squares of the next state.

    They are fitted in order along the cached run of the calibration seeds, all together, by one Gauss-Newton step from
    reuse: the next state is nearly linear in them. Leaving reuse costs `ridge` times the square of what a weight of 1
    adds to a state.
    """
    model, solver = bench.model, bench.solver
    conditioning = model.conditioning(model.labels_or_prompts(seeds))
    noise = SeededNoise(seeds, model.sample_shape, model.device)
    start = noise()

    def predict(e: int, x: Tensor, t: float) -> Tensor:
        return model.predict(x, t, conditioning, lambda forward_index: silent(e, t, forward_index))

    reference = [state for _, state in solver_states(solver, start, predict, noise)]
    follower = Weighed(len(sites), depth)
    table: list[list[list[float]]] = [[] for _ in sites]
    with intercepted(model.denoiser, site_wraps(model.denoiser, sites, follower)):
        state: Any = solver.begin(start)
        for e, t in enumerate(solver.coordinates):
            follower.computes = all(schedule.computed[e])

            def after(e: int = e, t: float = t, state: Any = state) -> Any:
                return solver.step(e, state, predict(e, solver.model_input(e, state), t), noise)

            if not follower.computes:
                follower.weights = torch.zeros(len(sites), follower.history, dtype=torch.float64)
                follower.weights[:, 0] = 1
                _improve(follower, after, reference[e + 1], ridge)
            for row, rows in zip(follower.weights.tolist(), table, strict=True):
                rows.append([] if follower.computes else row)
            state = after()
    return WeightedSum({site.name: rows for site, rows in zip(sites, table, strict=True)}, solver.coordinates)


def _improve(follower: Weighed, after: Callable[[], Tensor], target: Tensor, ridge: float) -> None:
    """Take one Gauss-Newton step of all weights towards the target state."""
    weights, now = follower.weights, after().double().flatten()
    slopes = []
    for place in range(weights.numel()):
        changed = weights.flatten().clone()
        changed[place] += STEP
        follower.weights = changed.view_as(weights)
        slopes.append((after().double().flatten() - now) / STEP)
    matrix = torch.stack(slopes, 1)
    left = target.double().flatten() - now
    change = ridge_weights(matrix.T @ matrix, matrix.T @ left, torch.zeros(len(slopes)).double(), ridge)
    follower.weights = weights + change.view_as(weights)
