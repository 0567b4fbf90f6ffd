"""The cost of leaving out evaluations: how badly the recorded states can be predicted across a gap."""

from collections.abc import Sequence

import torch
from torch import Tensor

from smoothbench.caching.least_squares import ridge_weights, squared_residual
from smoothbench.caching.recorded_run import RecordedRun
from smoothbench.caching.solver_steps import RecognisedSolver, SolverStep

INF = float("inf")
PIECE = 2**18  # values of a state that are held in float64 at once, for all evaluations


def transition_costs(run: RecordedRun, solver: RecognisedSolver, ridge: float) -> Tensor:
    """Return the cost of each jump, float64 [N + 1, N, N + 1]: from evaluation i, computed after p, to j.

    `[p, i, j]` is infinite where p < i < j does not hold; the first index N stands for no evaluation before i, where i
    is 0, and the last one for the end of the run. Where the solver is linear and deterministic the cost is the squared
    error of the state at j, predicted from the state at i and the outputs at i and p, beside what the solver makes of
    the repeated output; else the squared errors of the outputs between i and j, as the solver weighs them.
    """
    gram = inner_products(run, solver)
    costs = torch.full((run.evals + 1, run.evals, run.evals + 1), INF, dtype=torch.float64)
    by_states = solver.is_exact
    for i in range(run.evals):
        before = list(range(i)) or [run.evals]
        of_jumps = _state_costs if by_states else _output_costs
        costs[before, i, i + 1 :] = of_jumps(gram, run, solver, ridge, i)
    return costs


def inner_products(run: RecordedRun, solver: RecognisedSolver) -> Tensor:
    """Return the inner products of all states, then all guided outputs, float64 [N + 1 + N, N + 1 + N].

    They are added up in pieces: all vectors together may fill the memory.
    """
    size = len(run.states) + run.evals
    total = torch.zeros(size, size, dtype=torch.float64)
    for piece in run.pieces(PIECE):
        guided = [solver.guided(piece, e) for e in range(run.evals)]
        rows = torch.stack([vector.flatten().double() for vector in (*piece.states, *guided)])
        total += rows @ rows.T
    return total


def cheapest(costs: Tensor, full: int, last: int = 0) -> tuple[int, ...]:
    """Return the evaluations, `full` of them, 0 the first, with the least sum of costs: an exact dynamic programme.

    Of all paths to the same last two evaluations only the cheapest is followed, as costs depend on no earlier one. The
    `last` evaluations are among them.
    """
    evals = costs.shape[1]
    after, before_it = torch.arange(evals + 1), torch.arange(evals)[:, None]
    costs = costs.masked_fill((after > evals - last) & (after > before_it + 1), INF)
    # costs of paths that end with evaluations p, i
    total = torch.full((evals + 1, evals), INF, dtype=torch.float64)
    total[evals, 0] = 0
    came_from: list[Tensor] = []
    for _ in range(full - 1):
        longer, before = (total[:, :, None] + costs[:, :, :evals]).min(0)
        came_from.append(before)
        total = torch.cat([longer, torch.full((1, evals), INF, dtype=torch.float64)])
    last = int((total + costs[:, :, evals]).argmin())
    p, i = divmod(last, evals)
    path = [i]
    for before in reversed(came_from):
        path.append(p)
        p, i = int(before[p, i]), p
    return tuple(reversed(path))


def _state_costs(gram: Tensor, run: RecordedRun, solver: RecognisedSolver, ridge: float, i: int) -> Tensor:
    """Costs [p, j - i - 1] of the jumps from i, by the states."""
    repeated = _by_repeating(solver.steps, len(gram), len(run.states), i)
    jumps = torch.eye(len(gram), dtype=torch.float64)[i + 1 : len(run.states)] - repeated
    missing = run.evals + 1 - len(run.states)  # the finished sample, if its shape is another
    first = len(run.states)
    features = torch.tensor([[i, first + i, *([first + p] if i else [])] for p in range(max(i, 1))])
    among = gram[features[:, :, None], features[:, None, :]][:, None]
    products = (jumps @ gram)[:, features].transpose(0, 1)
    squares = torch.einsum("ji,ik,jk->j", jumps, gram, jumps)
    weights = ridge_weights(
        among.expand(-1, len(jumps), -1, -1), products, torch.zeros(features.shape[1]).double(), ridge
    )
    costs = squared_residual(among, products, squares, weights)
    costs[:, :1] = squares[:1]  # the next evaluation: nothing is left out, and nothing can be mended
    if not len(jumps):
        return torch.zeros(max(i, 1), 1, dtype=torch.float64)
    return torch.cat([costs, *[costs[:, -1:]] * missing], 1)


def _by_repeating(steps: Sequence[SolverStep], size: int, states: int, i: int) -> Tensor:
    """The states after i that the solver makes of the output at i, repeated, as combinations [state, vector]."""
    unit = torch.eye(size, dtype=torch.float64)
    reached = [unit[k] for k in range(i + 1)]
    for e in range(i, states - 1):
        now = torch.zeros(size, dtype=torch.float64)
        for k, weight in enumerate(steps[e].states):
            now += weight * reached[e - k]
        for k, weight in enumerate(steps[e].outputs):
            now += weight * unit[states + min(e - k, i)]
        reached.append(now)
    return torch.stack(reached[i + 1 :]) if len(reached) > i + 1 else unit[:0]


def _output_costs(gram: Tensor, run: RecordedRun, solver: RecognisedSolver, ridge: float, i: int) -> Tensor:
    """Costs [p, j - i - 1] of the jumps from i, by the outputs that are left out."""
    first, skipped = len(run.states), torch.arange(i + 1, run.evals)
    past = torch.tensor([[i, first + i, *([p, first + p] if i else [])] for p in range(max(i, 1))])
    nothing = torch.zeros(len(past), 1, dtype=torch.float64)
    if not len(skipped):
        return nothing
    features = torch.cat(
        [
            past[:, None].expand(-1, len(skipped), -1),
            skipped[None, :, None].expand(len(past), -1, 1),
        ],
        2,
    )
    among = gram[features[..., :, None], features[..., None, :]]
    products = gram[features, first + skipped[None, :, None]]
    prior = torch.zeros(features.shape[2], dtype=torch.float64)
    prior[1] = 1
    weights = ridge_weights(among, products, prior, ridge)
    squares = gram.diagonal()[first + skipped]
    last = solver.steps[-1]
    scales = [(solver.steps[e] if e < len(solver.steps) else last).outputs[0] ** 2 for e in skipped.tolist()]
    costs = squared_residual(among, products, squares, weights) * torch.tensor(scales, dtype=torch.float64)
    return torch.cat([nothing, costs.cumsum(1)], 1)
