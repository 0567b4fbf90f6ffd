"""Recognise the solver in a recorded run: the coefficients of its steps, by linear regression."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from smoothbench.caching.recorded_run import RecordedRun

ORDERS = (1, 2, 3, 4)  # how many evaluations a step may look at
EXACT = 1e-5  # the largest relative residual of a step that is linear in states and outputs, in float32;
ROUNDING = 4  # in a lower precision so many units of the last place
TINY = 1e-300  # keeps a division by nothing finite
WORSE = 2.0  # a step of lower order is preferred unless its residual is larger by this factor


@dataclass(frozen=True)
class SolverStep:
    """The step of a solver from evaluation e to the next, as a linear combination of states and guided outputs.

    The next state is sum(states[k] * state of e - k) + sum(outputs[k] * guided output of e - k). `guidance` holds the
    weights of the output's rows in the guided one, which add up to 1. `residual` is the norm of what the regression
    leaves, over that of the next state: fresh noise, if it is not rounding.
    """

    states: tuple[float, ...]
    outputs: tuple[float, ...]
    guidance: tuple[float, ...]
    residual: float


@dataclass(frozen=True)
class RecognisedSolver:
    """The steps of a solver, one for each evaluation whose next state is known.

    `rounding` is the relative residual that rounding may leave.
    """

    steps: Sequence[SolverStep]
    rounding: float = EXACT

    def step(self, e: int) -> SolverStep:
        """Return the step from an evaluation; of those after the last known step, that one."""
        return self.steps[min(e, len(self.steps) - 1)]

    def guide(self, e: int, rows: Tensor) -> Tensor:
        """Return the guided output [samples, ...] of an output [samples, rows, ...], in float64."""
        return _mixed(list(rows.double().transpose(0, 1)), self.step(e).guidance)

    def guided(self, run: RecordedRun, e: int) -> Tensor:
        """Return the guided output [samples, ...] of an evaluation of a run, in float64."""
        return self.guide(e, run.outputs[e])

    @property
    def residual(self) -> float:
        """The largest relative residual of a step."""
        return max((step.residual for step in self.steps), default=0.0)

    @property
    def is_exact(self) -> bool:
        """Whether all steps are linear and deterministic, within rounding."""
        return self.residual <= self.rounding


def recognised(run: RecordedRun) -> RecognisedSolver:
    """Find the coefficients of each step by regression on all samples of a run, in float64.

    Where fresh noise blurs the weights of the guidance rows, they are those of the step that it blurs least. Raises
    ValueError for a run of which no step is known.
    """
    if len(run.states) < 2:
        raise ValueError("a solver cannot be recognised by a run of one evaluation: take more steps")
    free = _recognised(run, None)
    if free.is_exact:
        return free
    return _recognised(run, min(free.steps, key=lambda step: step.residual).guidance)


def _recognised(run: RecordedRun, guidance: Sequence[float] | None) -> RecognisedSolver:
    steps: list[SolverStep] = []
    guided: dict[int, Tensor] = {}  # of the last evaluations, that a step may look at
    for e in range(run.evals):
        rows = list(run.outputs[e].double().transpose(0, 1))
        if guidance is not None:
            rows = [_mixed(rows, guidance)]
        if e + 1 < len(run.states):
            steps.append(_step(run, rows, guided, e))
        guided[e] = _mixed(rows, steps[-1].guidance)
        guided.pop(e + 1 - max(ORDERS), None)
    if guidance is not None:
        steps = [replace(step, guidance=tuple(guidance)) for step in steps]
    return RecognisedSolver(steps, _rounding(run))


def _rounding(run: RecordedRun) -> float:
    return max(EXACT, ROUNDING * torch.finfo(run.states[0].dtype).eps)


def _mixed(rows: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    return torch.stack([row * weight for row, weight in zip(rows, weights, strict=True)]).sum(0)


def _step(run: RecordedRun, rows: Sequence[Tensor], guided: Mapping[int, Tensor], e: int) -> SolverStep:
    """The step of lowest order that explains the next state nearly as well as any."""
    candidates = [_of_order(run, rows, guided, e, order) for order in ORDERS if order <= e + 1]
    good = max(_rounding(run) / 10, WORSE * min(step.residual for step in candidates))
    return next(step for step in candidates if step.residual <= good)


def _of_order(
    run: RecordedRun, rows: Sequence[Tensor], guided: Mapping[int, Tensor], e: int, order: int
) -> SolverStep:
    # a state that follows from the others would leave the coefficients undetermined: the first steps have no memory
    states = order if e >= order else 1
    columns = [run.states[e - k] for k in range(states)]
    columns += [*rows, *(guided[e - k] for k in range(1, order))]
    weights, residual = _regressed(columns, run.states[e + 1])
    here = weights[states : states + len(rows)]
    total = sum(here)
    guidance = tuple(w / total for w in here) if total else (1.0 / len(rows),) * len(rows)
    return SolverStep(tuple(weights[:states]), (total, *weights[states + len(rows) :]), guidance, residual)


def _regressed(columns: Sequence[Tensor], target: Tensor) -> tuple[list[float], float]:
    """Least-squares weights of columns, and the relative norm of what they leave of the target."""
    matrix = torch.stack([column.flatten().double() for column in columns], 1)
    y, scales = target.flatten().double(), matrix.norm(dim=0).clamp_min(TINY)
    solved = torch.linalg.lstsq(matrix / scales, y[:, None], driver="gelsd").solution[:, 0] / scales
    return solved.tolist(), float((y - matrix @ solved).norm() / y.norm().clamp_min(TINY))
