"""Solve for the weights of skipped outputs along the cached run of the calibration batch, while it is sampled."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from smoothbench.caching.evaluation_clock import Tick
from smoothbench.caching.input_weights import combined
from smoothbench.caching.least_squares import check_count, ridge_weights
from smoothbench.caching.reference_run import Reference
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.solver_steps import ORDERS, SolverStep


class StateFit:
    """The cached run under way, whose weights are solved for as it goes.

    `outputs[e]` and `inputs[e]` are the weights of a skipped evaluation. Where the batch is sampled in parts, one after
    the other, each part is sampled with weights fitted to it and to those before it: the last ones are fitted to all.
    """

    def __init__(
        self, depth: int, ridge: float, schedule: Schedule, reference: Reference, rows_per_sample: int
    ) -> None:
        self._depth, self._ridge = depth, ridge
        self._run, self._solver, self._target = reference
        self._rows_per_sample = rows_per_sample
        self._computed = [all(bits) for bits in schedule.computed]
        self._part = slice(0, 0)  # of the samples, that are under way
        self._kept: list[int] = []  # computed evaluations, the newest first
        self._outputs: dict[int, list[Sequence[Tensor]]] = {}  # of these, of each forward
        self._states: dict[int, Tensor] = {}  # of the cached run, float64 [samples, ...]
        self._guided: dict[int, Tensor] = {}
        self._sums: dict[int, tuple[Tensor, Tensor]] = {}  # inner products of all parts so far, by evaluation
        self.outputs: list[list[float]] = [[] for _ in self._computed]
        self.inputs: list[list[float]] = [[] for _ in self._computed]

    def stand_in(self, tick: Tick, given: Tensor) -> Sequence[Tensor] | None:
        """Predict the output of a skipped evaluation; its weights are solved for at the first forward."""
        if tick.starts_run:
            self._kept, self._outputs, self._states, self._guided = [], {}, {}, {}
            self._part = slice(self._part.stop, self._part.stop + len(self._by_sample(given)))
        if tick.starts_evaluation:
            self._start(tick.e, given)
        if self._computed[tick.e]:
            return None
        forward = self._forward
        self._forward += 1
        outputs = [self._outputs[k][forward] for k in self._kept]
        first, *others = zip(*outputs, strict=True)  # the input is of the first one's stream: see `predicted`
        weighted = combined(self.outputs[tick.e], first, self.inputs[tick.e], [given])
        return [weighted, *(leaves[0] for leaves in others)]

    def see(self, tick: Tick, given: Tensor, output: Sequence[Tensor]) -> None:
        """Keep what was computed."""
        self._outputs[tick.e].append([leaf.clone() for leaf in output])

    def _start(self, e: int, given: Tensor) -> None:
        """Note the state of the cached run; solve for the weights of an evaluation that is skipped."""
        self._forward = 0
        if e and self._computed[e - 1]:
            self._close(e - 1)
        self._states[e] = self._by_sample(given)[:, 0].double()
        self._forget(e)
        if self._computed[e]:
            self._outputs[e] = []
            return
        features = self._features(e)
        weights = self._solved(e, features)
        solved: list[float] = weights.tolist()
        self.outputs[e], self.inputs[e] = solved[: len(self._kept)], solved[len(self._kept) :]
        self._guided[e] = torch.einsum("s...f,f->s...", torch.stack(features, -1), weights)

    def _close(self, e: int) -> None:
        """Take a computed evaluation, all of whose forwards have run, into the history."""
        rows = torch.cat([self._by_sample(leaves[0]) for leaves in self._outputs[e]], 1)
        self._guided[e] = self._solver.guide(e, rows)
        self._kept = [e, *self._kept][: self._depth]

    def _forget(self, e: int) -> None:
        """Drop what neither the solver's step from `e` nor a prediction looks at."""
        for values in (self._states, self._guided, self._outputs):
            for k in [k for k in values if k <= e - max(ORDERS) and k not in self._kept]:
                del values[k]

    def _features(self, e: int) -> list[Tensor]:
        """The guided outputs that are weighed, and the state."""
        return [*(self._guided[k] for k in self._kept), self._states[e]]

    def _solved(self, e: int, features: Sequence[Tensor]) -> Tensor:
        """The weights that bring the next state nearest to the reference's, in all samples so far."""
        matrix = torch.stack([feature.flatten() for feature in features], 1)
        check_count(len(features), len(matrix), len(self._states[e]), self._depth)
        prior = torch.zeros(len(features), dtype=torch.float64)
        prior[0] = 1
        gram, products = matrix.T @ matrix, matrix.T @ self._wanted(e).flatten()
        if e in self._sums:
            gram, products = gram + self._sums[e][0], products + self._sums[e][1]
        self._sums[e] = gram, products
        return ridge_weights(gram, products, prior, self._ridge)

    def _wanted(self, e: int) -> Tensor:
        """The guided output from which the solver reaches the reference's next state, [samples, ...]."""
        part = self._part
        if e >= len(self._solver.steps) or not self._solver.steps[e].outputs[0]:
            return self._solver.guided(self._run, e)[part]
        step = self._solver.steps[e]
        known = _step_without(step, self._states, self._guided, e)
        target = self._target.states[e + 1][part].double()
        return (target - known) / step.outputs[0]

    def _by_sample(self, value: Tensor) -> Tensor:
        """A tensor of a forward, [rows of the batch, ...], as [samples, rows, ...] in the shape of the states."""
        shape = self._run.states[0].shape[1:]
        value = value[(slice(None), *map(slice, shape))].detach().cpu()
        rows = value.reshape(self._rows_per_sample, -1, *shape).transpose(0, 1)
        of_one = self._run.outputs[0].shape[1] < self._rows_per_sample  # rows are samples by themselves
        return rows.flatten(0, 1)[:, None] if of_one else rows


def _step_without(
    step: SolverStep, states: Mapping[int, Tensor], guided: Mapping[int, Tensor], e: int
) -> Tensor:
    """The next state but for what the present output adds to it."""
    total = torch.zeros_like(states[e])
    for k, weight in enumerate(step.states):
        total += weight * states[e - k]
    for k, weight in enumerate(step.outputs[1:], 1):
        total += weight * guided[e - k]
    return total
