"""Fit the weights of kept outputs so that the states of the cached run are those of a reference run."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.checked_step import CheckedStep
from smoothbench.caching.evaluation_clock import Tick
from smoothbench.caching.fitted import check_ridge
from smoothbench.caching.input_weights import InputWeights, combined
from smoothbench.caching.least_squares import ridge_weights
from smoothbench.caching.output_matching import matching_outputs
from smoothbench.caching.reference_run import (
    FINE,
    PLANNED,
    UNCACHED,
    Reference,
    check_target,
    planned_target,
    reference_run,
)
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.sites import DENOISER
from smoothbench.caching.solver_steps import RecognisedSolver, SolverStep
from smoothbench.caching.weighted_sum import WeightedSum


@dataclass(frozen=True)
class StateMatching:
    """State matching predicts a skipped output by a combination of earlier ones that leads to the right next state.

    The weights are fitted in order along the cached run of the calibration batch: at each skipped evaluation, to the
    last `depth` computed outputs and the present noisy sample, so that the solver's next state lies nearest to that of
    the uncached run, or of a fine one with `substeps` for each step, in squares over all samples. What earlier skips
    have done to the state is mended with it. `target` is "uncached", "fine" or "planned": as the schedule's plan says.
    `ridge` is the price of leaving reuse, as a share of each vector's square. Where the solver draws fresh noise, the
    noisy samples of the kept outputs are weighed too, as a prediction of the denoised sample needs them. At other
    levels, from which no solver steps, the uncached run's own outputs are matched, as L2P does (arXiv 2604.26365).
    Raises ValueError for parameters out of range.
    """

    depth: int = 3
    ridge: float = 1e-6
    target: str = PLANNED
    substeps: int = 4
    coordinate = "index"
    name = "state_matching"
    version = 1

    def __post_init__(self) -> None:
        if type(self.depth) is not int or self.depth < 1:
            raise ValueError(f"StateMatching's depth must be a whole number from 1, not {self.depth}")
        check_ridge("StateMatching", self.ridge)
        check_target("StateMatching", self.target, self.substeps, (PLANNED, UNCACHED, FINE))

    def fit(self, schedule: Schedule, batch: BatchRuns) -> WeightedSum:
        """Return the weights for a schedule; of the whole denoiser, the batch is run once under it."""
        if schedule.sites != (DENOISER,):
            return matching_outputs(schedule, batch, self.depth, self.ridge)
        reference = reference_run(batch, *planned_target(schedule, self.target, self.substeps))
        if not reference.solver.is_exact:
            warnings.warn(
                f"a linear step leaves {reference.solver.residual:.0%} of a state unexplained: the solver draws fresh "
                "noise, or is not linear. Outputs are predicted from the states of computed evaluations too, with what "
                "is unexplained as it was recorded",
                stacklevel=2,
            )
        fit = _Fit(self, schedule, reference, batch.rows_per_sample)
        batch.steer(fit, sum(map(all, schedule.computed)))
        return InputWeights(
            {DENOISER: fit.outputs},
            batch.trajectory.coordinates,
            inputs={DENOISER: fit.inputs},
            step=_checked(schedule, reference.solver, self.depth),
        )


def _checked(schedule: Schedule, solver: RecognisedSolver, depth: int) -> CheckedStep | None:
    """The step to the first skipped evaluation, whose states and outputs are all computed, and kept."""
    first = next((e for e, bits in enumerate(schedule.computed) if not all(bits)), schedule.evals)
    if not solver.is_exact or first > len(solver.steps):
        return None
    step = solver.steps[first - 1]
    if max(len(step.states), len(step.outputs)) > depth:
        return None
    return CheckedStep(first, step.states, step.outputs, step.guidance)


class _Fit:
    """The cached run under way, whose weights are solved for as it goes.

    Where the batch is sampled in parts, the first part is fitted to.
    """

    def __init__(
        self,
        matching: StateMatching,
        schedule: Schedule,
        reference: Reference,
        rows_per_sample: int,
    ) -> None:
        self._matching = matching
        self._run, self._solver, self._target = reference
        self._rows_per_sample = rows_per_sample
        self._computed = [all(bits) for bits in schedule.computed]
        self._at = -1
        self._kept: list[int] = []  # computed evaluations, the newest first
        self._outputs: dict[int, list[Sequence[Tensor]]] = {}  # of these, of each forward
        self._given: dict[int, list[Tensor]] = {}
        self._states: dict[int, Tensor] = {}  # of the cached run, float64 [samples, ...]
        self._guided: dict[int, Tensor] = {}
        self.outputs: list[list[float]] = [[] for _ in self._computed]
        self.inputs: list[list[float]] = [[] for _ in self._computed]

    def stand_in(self, tick: Tick, given: Tensor) -> Sequence[Tensor] | None:
        """Predict the output of a skipped evaluation; its weights are solved for at the first forward."""
        if tick.starts_run:
            self._kept, self._outputs, self._given = [], {}, {}
            self._states, self._guided = {}, {}
        if tick.starts_evaluation:
            self._start(tick.e, given)
        if self._computed[tick.e]:
            return None
        forward = self._forward
        self._forward += 1
        outputs = [self._outputs[k][forward] for k in self._kept]
        inputs = [given, *(self._given[k][forward] for k in self._kept)]
        return [
            combined(self.outputs[tick.e], leaves, self.inputs[tick.e], inputs)
            for leaves in zip(*outputs, strict=True)
        ]

    def see(self, tick: Tick, given: Tensor, output: Sequence[Tensor]) -> None:
        """Keep what was computed."""
        self._given[tick.e].append(given.clone())
        self._outputs[tick.e].append([leaf.clone() for leaf in output])

    def _start(self, e: int, given: Tensor) -> None:
        """Note the state of the cached run; solve for the weights of an evaluation that is skipped."""
        self._forward = 0
        if e and self._computed[e - 1]:
            self._close(e - 1)
        self._states[e] = self._by_sample(given)[:, 0].double()
        if self._computed[e]:
            self._outputs[e], self._given[e] = [], []
            return
        features = self._features(e)
        if not self.outputs[e]:
            solved: list[float] = self._solved(e, features).tolist()
            self.outputs[e], self.inputs[e] = solved[: len(self._kept)], solved[len(self._kept) :]
        weights = torch.tensor([*self.outputs[e], *self.inputs[e]], dtype=torch.float64)
        self._guided[e] = torch.einsum("s...f,f->s...", torch.stack(features, -1), weights)

    def _close(self, e: int) -> None:
        """Take a computed evaluation, all of whose forwards have run, into the history."""
        rows = torch.cat([self._by_sample(leaves[0]) for leaves in self._outputs[e]], 1)
        self._guided[e] = self._solver.guide(e, rows)
        self._kept = [e, *self._kept][: self._matching.depth]

    def _features(self, e: int) -> list[Tensor]:
        """The guided outputs that are weighed, and the states."""
        past = [] if self._solver.is_exact else [self._states[k] for k in self._kept]
        return [*(self._guided[k] for k in self._kept), self._states[e], *past]

    def _solved(self, e: int, features: Sequence[Tensor]) -> Tensor:
        """The weights that bring the next state nearest to the reference's."""
        matrix = torch.stack([feature.flatten() for feature in features], 1)
        if len(matrix) < len(features):
            raise ValueError(
                f"{len(features)} weights cannot be fitted to the {len(matrix)} values of {len(self._states[e])} "
                f"calibration samples: take more samples, or a depth below {self._matching.depth}"
            )
        prior = torch.zeros(len(features), dtype=torch.float64)
        prior[0] = 1
        products = matrix.T @ self._wanted(e).flatten()
        return ridge_weights(matrix.T @ matrix, products, prior, self._matching.ridge)

    def _wanted(self, e: int) -> Tensor:
        """The guided output from which the solver reaches the reference's next state, [samples, ...]."""
        samples = len(self._states[e])
        if e >= len(self._solver.steps) or not self._solver.steps[e].outputs[0]:
            return self._solver.guided[e][:samples]
        step = self._solver.steps[e]
        known = _step_without(step, self._states, self._guided, e)
        target = self._target.states[e + 1][:samples].double()
        if not self._solver.is_exact:  # the same fresh noise comes in every run of these seeds
            states = {k: self._run.states[k][:samples].double() for k in range(max(0, e - 2), e + 1)}
            guided = {k: self._solver.guided[k][:samples] for k in range(max(0, e - 2), e + 1)}
            recorded = _step_without(step, states, guided, e) + step.outputs[0] * guided[e]
            target = recorded  # what the recorded run reaches, before the noise that both get
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
