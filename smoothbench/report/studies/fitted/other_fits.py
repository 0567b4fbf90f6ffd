"""Fits of Fitted's weights that differ in one thing from state matching, and plans by other costs."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from smoothbench.caching import CalibrationBatch, InputWeights, Schedule, StateMatching
from smoothbench.caching.least_squares import ridge_weights
from smoothbench.caching.reference_run import Reference, reference_run
from smoothbench.caching.sites import DENOISER
from smoothbench.caching.state_fit import StateFit
from smoothbench.caching.transitions import cheapest, transition_costs

ROUNDS = 30  # of reweighted least squares
FLOOR = 1e-3  # of a residual's size, in mean absolute residuals, below which it weighs no more
SUBSTEPS, PLAN_RIDGE = 4, 1e-6


class WithoutState(StateFit):
    """State matching by kept outputs alone."""

    def _features(self, e: int) -> list[Tensor]:
        return super()._features(e)[: len(self._kept)]


class LeastAbsolute(StateFit):
    """State matching in absolute errors in place of squares, by iteratively reweighted least squares."""

    def _solved(self, e: int, features: Sequence[Tensor]) -> Tensor:
        matrix = torch.stack([feature.flatten() for feature in features], 1)
        weights, wanted, prior = super()._solved(e, features), self._wanted(e).flatten(), _unit(len(features))
        for _ in range(ROUNDS):
            sizes = (wanted - matrix @ weights).abs()
            scaled = matrix / (sizes + FLOOR * sizes.mean())[:, None]
            weights = ridge_weights(matrix.T @ scaled, scaled.T @ wanted, prior, self._ridge)
        return weights


class BehindTheLast(StateFit):
    """State matching up to the last computed evaluation, and another rule behind it."""

    def _is_behind(self, e: int) -> bool:
        return not any(self._computed[e:])


class RepeatsTheLast(BehindTheLast):
    """Behind the last computed evaluation its output is repeated."""

    def _solved(self, e: int, features: Sequence[Tensor]) -> Tensor:
        return _unit(len(features)) if self._is_behind(e) else super()._solved(e, features)


class SumsToOne(BehindTheLast):
    """Behind the last computed evaluation the weights of outputs add up to 1, and the state has none."""

    def _solved(self, e: int, features: Sequence[Tensor]) -> Tensor:
        if not self._is_behind(e):
            return super()._solved(e, features)
        outputs = torch.stack([feature.flatten() for feature in features[: len(self._kept)]], 1)
        matrix, left = outputs[:, 1:] - outputs[:, :1], self._wanted(e).flatten() - outputs[:, 0]
        change = ridge_weights(
            matrix.T @ matrix, matrix.T @ left, torch.zeros(matrix.shape[1]).double(), self._ridge
        )
        beside = torch.zeros(len(features) - len(self._kept), dtype=torch.float64)
        return torch.cat([1 - change.sum()[None], change, beside])


def fitted_by(
    kind: type[StateFit],
    schedule: Schedule,
    batch: CalibrationBatch,
    target: str,
    depth: int = 3,
    ridge: float = 1e-6,
) -> InputWeights:
    """Return the weights of a schedule by another fit."""
    reference = reference_run(batch, target, SUBSTEPS)
    weights = kind(depth, ridge, schedule, reference, batch.rows_per_sample)
    batch.steer(weights, sum(map(all, schedule.computed)))
    coordinates = batch.trajectory.coordinates
    return InputWeights({DENOISER: weights.outputs}, coordinates, inputs={DENOISER: weights.inputs})


def early_dearer(batch: CalibrationBatch, full: int, target: str) -> Schedule:
    """Plan with the cost of a jump to evaluation j divided by j + 1."""
    reference = reference_run(batch, target, SUBSTEPS)
    costs = _costs(reference)
    return _schedule(batch, cheapest(costs / torch.arange(1, costs.shape[2] + 1), full))


def by_gain(batch: CalibrationBatch, full: int, target: str) -> Schedule:
    """Plan with the cost of a jump times the square of what the solver makes of an error there, outputs held."""
    reference = reference_run(batch, target, SUBSTEPS)
    costs = _costs(reference)
    slopes = torch.tensor([step.states[0] for step in reference.solver.steps], dtype=torch.float64)
    gains = torch.cat([slopes.flip(0).cumprod(0).flip(0), torch.ones(1).double()])
    return _schedule(batch, cheapest(costs * gains[: costs.shape[2]] ** 2, full))


def second_sweep(batch: CalibrationBatch, full: int, target: str, sweeps: int = 2) -> Schedule:
    """Move single evaluations by one where the run under the plan, fitted anew, then ends nearer to the target run."""
    reference = reference_run(batch, target, SUBSTEPS)
    wanted = reference.run.states[-1]

    def error(path: Sequence[int]) -> float:
        schedule = _schedule(batch, path)
        weights: Any = StateMatching(target=target).fit(schedule, batch)
        final = batch.rollout(schedule, weights)
        return float((final.cpu() - wanted).norm())

    path = list(cheapest(_costs(reference), full))
    least = error(path)
    for _, place, move in product(range(sweeps), range(1, full), (-1, 1)):
        moved = [*path[:place], path[place] + move, *path[place + 1 :]]
        if len(set(moved)) < full or moved[-1] >= batch.trajectory.evals:
            continue
        if (now := error(moved)) < least:
            path, least = moved, now
    return _schedule(batch, path)


def _costs(reference: Reference) -> Tensor:
    return transition_costs(reference.run, reference.solver, PLAN_RIDGE)


def _schedule(batch: CalibrationBatch, path: Sequence[int]) -> Schedule:
    trajectory = batch.trajectory
    return Schedule.steps(trajectory.sites, [e in path for e in range(trajectory.evals)])


def _unit(count: int) -> Tensor:
    first = torch.zeros(count, dtype=torch.float64)
    first[0] = 1
    return first
