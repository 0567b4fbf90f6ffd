"""UniPC, DEIS and DPM-Solver++(2M) on every noise level: diffusers' schedulers, orders, grids, refusals."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DEISMultistepScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from scipy.integrate import quad
from torch import Tensor

from smoothbench.protocols import KnowsNoise
from smoothbench.solvers.ddim import DDIM
from smoothbench.solvers.deis import DEIS, DEISV, DEISFlow
from smoothbench.solvers.dpmpp import DPMSolverPlusPlus2M, DPMSolverPlusPlus2MFlow, DPMSolverPlusPlus2MV
from smoothbench.solvers.dpmpp_3m_sde import DPMSolverPlusPlus3MSDE
from smoothbench.solvers.grids import GRIDS
from smoothbench.solvers.rflow import RectifiedFlow
from smoothbench.solvers.unipc import UniPC, UniPCFlow, UniPCV
from tests.support.latent_dits import refusal
from tests.support.solve import solve

BETAS = (1000, 1e-4, 0.02, "linear")
ON_BETAS: list[Any] = [DPMSolverPlusPlus2M, UniPC, DEIS]
ON_FLOW: list[Any] = [DPMSolverPlusPlus2MFlow, UniPCFlow, DEISFlow]
ON_SIGMA: list[Any] = [DPMSolverPlusPlus2MV, UniPCV, DEISV]
SCHEDULERS = (DPMSolverMultistepScheduler, UniPCMultistepScheduler, DEISMultistepScheduler)
TINY = 1e-8  # a last sigma above 0, where a scheduler takes its logarithm


def toy(e: int, x: Tensor, t: float) -> Tensor:
    """Bounded samples, yet neither linear in x nor free of t."""
    return x * t / 1000 + 0.1 * torch.sin(3 * x)


def on_its_levels(kind: Any, solver: Any, flow: bool, **options: Any) -> Any:
    """A scheduler on the very levels of a solver, its last step included."""
    scheduler = kind(*BETAS, use_flow_sigmas=flow, **options)
    scheduler.set_timesteps(solver.steps)
    scheduler.set_begin_index(0)
    alphas = [1.0] * len(solver.levels.alpha) if flow else solver.levels.alpha
    sigmas = [s / a for s, a in zip(solver.levels.sigma, alphas, strict=True)]
    scheduler.sigmas = torch.tensor([*sigmas[:-1], TINY])
    scheduler.timesteps = torch.tensor(solver.coordinates)
    return scheduler


def by_scheduler(scheduler: Any, x: Tensor, sign: float = 1.0) -> list[Tensor]:
    """Every noisy sample of diffusers' loop, from the first step's end on."""
    states = []
    for t in scheduler.timesteps:
        x = scheduler.step(sign * toy(0, x, t.item()), t, x).prev_sample
        states.append(x)
    return states


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 16, generator=torch.Generator().manual_seed(0))


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * ours.abs().max().item())


@pytest.mark.parametrize("grid", ["log_snr", "linspace"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(("solver", "kind"), [(UniPC, SCHEDULERS[1]), (DEIS, SCHEDULERS[2])])
def test_diffusers_takes_the_same_steps_on_the_same_levels(
    x: Tensor, solver: Any, kind: Any, order: int, grid: str
) -> None:
    built = solver(9, grid=grid, order=order)
    theirs = by_scheduler(on_its_levels(kind, built, False, solver_order=order), x)
    close(solve(built, x, toy), theirs[-1])


def test_unipcs_other_function_of_the_step(x: Tensor) -> None:
    built = UniPC(9, variant="bh1")
    close(
        solve(built, x, toy),
        by_scheduler(on_its_levels(UniPCMultistepScheduler, built, False, solver_type="bh1"), x)[-1],
    )
    assert (solve(built, x, toy) - solve(UniPC(9), x, toy)).abs().max() > 1e-4


@pytest.mark.parametrize("order", [2, 3])
def test_long_runs_of_deis_differ_from_diffusers_at_their_end_alone(x: Tensor, order: int) -> None:
    """diffusers lowers the last orders below 15 steps only; UniPC's always, as ours."""
    built = DEIS(20, order=order)
    theirs = by_scheduler(on_its_levels(DEISMultistepScheduler, built, False, solver_order=order), x)
    state = built.begin(x)
    for e in range(20):
        state = built.step(e, state, toy(e, state.x, built.coordinates[e]), lambda: x)
        if e < 20 - order:
            close(state.x, theirs[e])
    unipc = UniPC(20, order=order)
    scheduler = on_its_levels(UniPCMultistepScheduler, unipc, False, solver_order=order)
    close(solve(unipc, x, toy), by_scheduler(scheduler, x)[-1])


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize(("solver", "kind"), list(zip(ON_FLOW, SCHEDULERS, strict=True)))
def test_diffusers_takes_the_same_steps_along_a_flow(x: Tensor, solver: Any, kind: Any, shift: float) -> None:
    """diffusers predicts noise - x0, we x0 - noise. Of DEIS' first step it loses five digits, so that 2 are left."""
    built = solver(9, shift)
    scheduler = on_its_levels(kind, built, True, prediction_type="flow_prediction")
    theirs = by_scheduler(scheduler, x, sign=-1.0)[-1]
    if solver is DEISFlow:
        x64 = x.double()
        scheduler = on_its_levels(kind, built, True, prediction_type="flow_prediction")
        scheduler.sigmas = torch.tensor([*built.levels.sigma[:-1], TINY], dtype=torch.float64)
        close(solve(built, x64, toy), by_scheduler(scheduler, x64, sign=-1.0)[-1])
    else:
        close(solve(built, x, toy), theirs)


def test_unipcs_grid_along_a_flow_is_diffusers() -> None:
    """Given the same even grid, its shift and its first time are the same."""
    scheduler = UniPCMultistepScheduler(
        use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0
    )
    scheduler.set_timesteps(sigmas=1 - np.arange(12) / 12)
    assert UniPCFlow(12, 3.0).levels.sigma == pytest.approx(scheduler.sigmas.tolist(), rel=1e-6)


@pytest.mark.parametrize("steps", [2, 8, 19, 50, 180])
@pytest.mark.parametrize("grid", ["linspace", "leading", "trailing"])
def test_grids_even_in_time_are_diffusers(grid: str, steps: int) -> None:
    for solver, kind in zip(ON_BETAS, SCHEDULERS, strict=True):
        scheduler = kind(*BETAS, timestep_spacing=grid)
        scheduler.set_timesteps(steps)
        assert list(solver(steps, grid=grid).coordinates) == scheduler.timesteps.tolist()


def test_karras_grid_is_diffusers_rounded() -> None:
    scheduler = DPMSolverMultistepScheduler(*BETAS, use_karras_sigmas=True)
    scheduler.set_timesteps(20)
    assert list(DPMSolverPlusPlus2M(20, grid="karras").coordinates) == scheduler.timesteps.tolist()


def test_a_quadratic_grid() -> None:
    assert DEIS(10, grid="quadratic").coordinates[:3] == (999, 789, 604)
    assert DEIS(10, grid="quadratic").coordinates[-4:] == (111, 49, 12, 0)


@pytest.mark.parametrize("grid", GRIDS)
def test_every_grid_falls_and_none_repeats_a_timestep(grid: str) -> None:
    for steps in (2, 3, 20, 200, 499):
        coordinates = UniPC(steps, grid=grid).coordinates
        assert len(coordinates) == steps and all(a > b for a, b in pairwise(coordinates)), (grid, steps)
        assert (coordinates[0] == 999) is (grid != "leading") and coordinates[-1] >= 0


def test_what_solvers_coincide_with(x: Tensor) -> None:
    """DEIS of one prediction is DDIM; the predictor of UniPC's second order with B(h) = exp(h) - 1 is 2M."""

    class OnTheSameGrid(DDIM):
        coordinates = DEIS(9).coordinates

    close(solve(DEIS(9, order=1), x, toy), solve(OnTheSameGrid(9), x, toy))
    two_m, unipc = DPMSolverPlusPlus2M(9), UniPC(9)
    states = two_m.begin(x), unipc.begin(x)
    for e in range(2):  # the corrector has not been at work before the second evaluation
        output = toy(e, states[0].x, two_m.coordinates[e])
        states = two_m.step(e, states[0], output, lambda: x), unipc.step(e, states[1], output, lambda: x)
    half = two_m.levels.along_x0(1, states[1].corrected, states[1].earlier_x0[0])
    h, h0 = (b - a for a, b in pairwise(two_m.levels.log_snr[2::-1]))
    bent = (
        -two_m.levels.alpha[2]
        * math.expm1(h)
        / 2
        * (h / h0)
        * (states[1].earlier_x0[0] - states[1].earlier_x0[1])
    )
    close(states[1].x, half + bent)


def test_deis_weights_are_integrals(x: Tensor) -> None:
    solver, e = DEIS(12, order=3), 5
    rho = [math.exp(-value) for value in solver.levels.log_snr[e - 2 : e + 2]]
    for place, weight in zip((1, 0), solver._weights[e], strict=True):
        others = [node for i, node in enumerate(rho[:3]) if i != place]

        def basis(r: float, others: list[float] = others, one: float = rho[place]) -> float:
            return math.prod(math.log(r / other) / math.log(one / other) for other in others)

        assert weight == pytest.approx(quad(basis, rho[2], rho[3], epsabs=1e-14)[0], rel=1e-9)


@pytest.mark.parametrize("solver", ON_FLOW)
def test_orders_along_a_flow(solver: Any) -> None:
    """Of a normal variable with a standard deviation of 1/2, x / sqrt(t^2 + (1 - t)^2 / 4) stays."""

    def velocity(e: int, x: Tensor, t: float) -> Tensor:
        t = t / 1000
        return -x * (t - (1 - t) / 4) / (t**2 + (1 - t) ** 2 / 4)

    x = torch.tensor([1.0], dtype=torch.float64)

    def error(kind: Any, steps: int) -> float:
        return abs(solve(kind(steps), x, velocity).item() - 0.5)

    assert error(solver, 80) < error(solver, 20) / 6, "of second order"
    assert error(RectifiedFlow, 80) > error(RectifiedFlow, 20) / 5, "of first"
    assert error(solver, 80) < error(RectifiedFlow, 80) / 5


@pytest.mark.parametrize("solver", ON_SIGMA)
def test_on_a_range_of_sigma_they_go_where_the_published_sampler_goes(x: Tensor, solver: Any) -> None:
    x = x.double()
    reached = [solve(solver(steps), x, toy) for steps in (100, 400)]
    published = solve(DPMSolverPlusPlus3MSDE(800, eta=0.0), x, toy)
    errors = [(sample - published).abs().max().item() for sample in reached]
    assert errors[1] < errors[0] / 3 and errors[1] < 1e-3


@pytest.mark.parametrize("solver", [kind(6) for kind in (*ON_BETAS, *ON_FLOW, *ON_SIGMA)], ids=repr)
def test_they_know_their_noise(solver: Any) -> None:
    assert isinstance(solver, KnowsNoise)
    log_snr = [-math.log(ratio) for ratio in solver.noise_to_signal]
    assert log_snr == pytest.approx(solver.levels.log_snr, rel=1e-9)


@pytest.mark.parametrize("solver", [UniPC, DEIS, UniPCFlow, DEISV])
def test_orders_out_of_range_are_named(solver: Any) -> None:
    for order in (0, 4, 2.0, True, "2"):
        refusal(lambda order=order: solver(9, order=order), "solver.order", str(order))


def test_other_settings_out_of_range_are_named() -> None:
    refusal(lambda: UniPC(9, variant="bh3"), "solver.variant", "bh1 or bh2", "bh3")
    refusal(lambda: DEIS(9, grid="cosine"), "solver.grid", "quadratic", "cosine")
    refusal(lambda: UniPC(1000, grid="linspace"), "solver.grid=linspace", "1000", "fewer steps")
    refusal(lambda: UniPCFlow(9, shift=0), "solver.shift")
    refusal(lambda: DEISV(9, sigma_min=0), "solver.sigma_min")
