"""Where the solver draws fresh noise, Fitted matches the recorded outputs by outputs and noisy samples before."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from smoothbench.caching import Fitted, InputWeights, Schedule, StateMatching, cached
from smoothbench.caching.reference_run import UNCACHED, reference_run
from smoothbench.caching.transitions import transition_costs
from tests.support.guided_loop import Before, GuidedLoop

FULL = (0, 2, 5, 6)
NOISE = "ignore:a linear step leaves .* the solver draws fresh noise"


@dataclass
class NoisyLoop(GuidedLoop):
    """A loop that adds the same fresh noise in every run after each step but the last."""

    evals: int = 8
    scale: float = 0.3

    @torch.no_grad()
    def run(self, before: Before = lambda *_: None) -> Tensor:
        x, generator = self.noise(), torch.Generator().manual_seed(7)
        for e in range(self.evals):
            x = self.step(x, self.output(x, e, before))
            if e + 1 < self.evals:
                x = x + self.scale * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        return x

    def recorded(self) -> tuple[list[Tensor], list[Tensor]]:
        """The flattened states and guided outputs of the uncached run."""
        states, outputs, output = list[Tensor](), list[Tensor](), self.output

        def noted(x: Tensor, e: int, before: Before) -> Tensor:
            states.append(x.flatten())
            outputs.append(output(x, e, before).flatten().reshape(x.shape))
            return outputs[-1]

        self.output = noted  # type: ignore[method-assign]
        try:
            self.run()
        finally:
            self.output = output  # type: ignore[method-assign]
        return states, [each.flatten() for each in outputs]


def schedule_of(loop: GuidedLoop, full: Sequence[int] = FULL) -> Schedule:
    return Schedule.steps(loop.batch().trajectory.sites, [e in full for e in range(loop.evals)])


@pytest.mark.filterwarnings(NOISE)
@pytest.mark.parametrize("depth", [1, 3])
def test_the_weights_are_those_of_least_squares_on_the_recorded_run(depth: int) -> None:
    loop = NoisyLoop()
    batch = loop.batch()
    weights = StateMatching(depth, ridge=0).fit(schedule_of(loop), batch)
    assert isinstance(weights, InputWeights) and batch.spent.runs == 1 and not batch.spent.rollouts
    states, outputs = loop.recorded()
    for e in range(loop.evals):
        past = [k for k in reversed(FULL) if k < e][:depth]
        row = [*weights.table["denoiser"][e], *weights.inputs["denoiser"][e]]
        if e in FULL:
            assert row == []
            continue
        features = torch.stack([*(outputs[k] for k in past), states[e], *(states[k] for k in past)], 1)
        solved = torch.linalg.lstsq(features, outputs[e][:, None]).solution[:, 0]
        left = (outputs[e] - features @ torch.tensor(row, dtype=torch.float64)).norm()
        assert row == pytest.approx(solved.tolist(), rel=1e-2, abs=1e-2)
        assert left == pytest.approx(float((outputs[e] - features @ solved).norm()), rel=1e-3)


def test_a_jump_costs_the_outputs_that_it_leaves_out_as_the_solver_weighs_them() -> None:
    loop = NoisyLoop()
    reference = reference_run(loop.batch(), UNCACHED, 2)
    costs = transition_costs(reference.run, reference.solver, ridge=0)
    states, outputs = loop.recorded()
    for p, i, j in ((0, 2, 5), (1, 3, 5), (2, 4, 7)):
        expected = 0.0
        for e in range(i + 1, j):
            features = torch.stack([states[i], outputs[i], states[p], outputs[p], states[e]], 1)
            solved = torch.linalg.lstsq(features, outputs[e][:, None]).solution[:, 0]
            left = (outputs[e] - features @ solved).square().sum()
            expected += float(left) * reference.solver.step(e).outputs[0] ** 2
        assert float(costs[p, i, j]) == pytest.approx(expected, rel=1e-3)


@pytest.mark.filterwarnings(NOISE)
def test_with_all_evaluations_it_is_the_uncached_run() -> None:
    loop = NoisyLoop()
    batch = loop.batch()
    schedule = Fitted(loop.evals).plan_on(batch.trajectory, batch)
    with (
        pytest.warns(UserWarning, match="skipped nothing"),
        cached(loop.denoiser, schedule, predictor=StateMatching().fit(schedule, batch)) as run,
    ):
        assert torch.equal(loop.run(run.step), batch.uncached)


@pytest.mark.filterwarnings(NOISE)
def test_more_weights_than_values_are_refused() -> None:
    loop = NoisyLoop(evals=80, samples=1)
    schedule = schedule_of(loop, range(0, 80, 2))
    with pytest.raises(
        ValueError, match="65 weights cannot be fitted to the 64 values of 1 calibration samp"
    ):
        StateMatching(depth=32).fit(schedule, loop.batch())
