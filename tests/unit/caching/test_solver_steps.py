"""The solver is recognised from its run alone: its coefficients predict its steps on any other outputs."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.caching.recorded_run import RecordedRun
from smoothbench.caching.solver_steps import recognised
from smoothbench.solvers.ddim import DDIM
from smoothbench.solvers.deis import DEIS
from smoothbench.solvers.dpmpp import DPMSolverPlusPlus2M
from smoothbench.solvers.dpmpp_3m_sde import DPMSolverPlusPlus3MSDE
from smoothbench.solvers.euler import Euler
from smoothbench.solvers.finer import finer
from smoothbench.solvers.rflow import RectifiedFlow
from smoothbench.solvers.unipc import UniPC, UniPCFlow

STEPS = 10
SOLVERS: list[Any] = [
    DDIM(STEPS),
    DPMSolverPlusPlus2M(STEPS),
    Euler(STEPS),
    RectifiedFlow(STEPS, shift=2.0),
    DPMSolverPlusPlus3MSDE(STEPS, eta=0.0),
    DEIS(STEPS),
    DEIS(STEPS, order=3),
    UniPC(STEPS),
    UniPC(STEPS, order=3),
    UniPCFlow(STEPS),
]


def normal(seed: int) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(4, 64, generator=generator, dtype=torch.float64)


def states(solver: Any, outputs: list[Tensor], seed: int) -> list[Tensor]:
    """What the denoiser would get along a run with these outputs, and at last the finished sample."""
    draw = normal(seed)
    state, given = solver.begin(draw()), []
    for e, output in enumerate(outputs):
        given.append(solver.model_input(e, state))
        state = solver.step(e, state, output, draw)
    return [*given, solver.sample(state)]


def run_of(solver: Any, guidance: float = 3.0) -> RecordedRun:
    """A run in which each row of the output is a smooth function of the state and of time."""
    draw = normal(0)
    state, given, rows = solver.begin(draw()), [], []
    for e in range(STEPS):
        x = solver.model_input(e, state)
        cond, uncond = torch.tanh(x + 0.1 * e), torch.sin(1.3 * x) + 0.05 * e
        given.append(x)
        rows.append(torch.stack([cond, uncond], 1))
        state = solver.step(e, state, uncond + guidance * (cond - uncond), draw)
    return RecordedRun([*given, solver.sample(state)], rows)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
def test_coefficients(solver: Any) -> None:
    steps = recognised(run_of(solver))
    assert steps.is_exact
    draw = normal(7)
    outputs = [draw() for _ in range(STEPS)]
    along = states(solver, outputs, seed=8)
    for e, step in enumerate(steps.steps):
        assert step.guidance == pytest.approx((3.0, -2.0), abs=1e-6)
        expected = sum(w * along[e - k] for k, w in enumerate(step.states))
        expected = expected + sum(w * outputs[e - k] for k, w in enumerate(step.outputs))
        assert torch.allclose(along[e + 1], torch.as_tensor(expected), rtol=1e-6, atol=1e-6), e


def test_fresh_noise_is_noticed() -> None:
    steps = recognised(run_of(DPMSolverPlusPlus3MSDE(STEPS)))
    assert not steps.is_exact and steps.residual > 0.1
    assert all(step.guidance == pytest.approx((3.0, -2.0), abs=1e-6) for step in steps.steps)


def test_one_evaluation_tells_nothing_of_a_solver() -> None:
    run = RecordedRun([torch.ones(2, 3)], [torch.ones(2, 1, 3)])
    with pytest.raises(ValueError, match="cannot be recognised by a run of one evaluation: take more steps"):
        recognised(run)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
def test_a_finer_grid_passes_through_the_timesteps(solver: Any) -> None:
    assert finer(solver, 4).coordinates[::4][:STEPS] == solver.coordinates


def test_no_finer_grid() -> None:
    with pytest.raises(
        ValueError, match="DDIM has no grid with 4 sub-steps that passes through its 600 timesteps"
    ):
        finer(DDIM(600), 4)
