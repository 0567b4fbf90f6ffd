"""The solvers against diffusers' schedulers: the same update on the same grid, and where grids differ."""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from torch import Tensor

from smoothbench.solvers.ddim import DDIM
from smoothbench.solvers.dpmpp import DPMSolverPlusPlus2M
from smoothbench.solvers.euler import Euler
from tests.support.solve import solve

BETAS = (1000, 1e-4, 0.02, "linear")


def noise_prediction(e: int, x: Tensor, t: float) -> Tensor:
    """Bounded samples, yet neither linear in x nor free of t."""
    return x * t / 1000 + 0.1 * torch.sin(3 * x)


def prepared(kind: Any, grid: int | tuple[float, ...], **options: Any) -> Any:
    """A scheduler with its own grid of so many steps, or with the timesteps given."""
    scheduler = kind(*BETAS, **options)
    if isinstance(grid, int):
        scheduler.set_timesteps(grid)
    else:
        scheduler.set_timesteps(timesteps=[int(t) for t in grid])
    return scheduler


def by_scheduler(scheduler: Any, x: Tensor) -> Tensor:
    """Sample with diffusers, as its pipelines do, from noise x of the scheduler's own scale."""
    for t in scheduler.timesteps:
        prediction = noise_prediction(0, scheduler.scale_model_input(x, t), t.item())
        x = scheduler.step(prediction, t, x).prev_sample
    return x


@pytest.fixture
def x() -> Tensor:
    return torch.randn(64, generator=torch.Generator().manual_seed(0))


def test_ddims_previous_step(x: Tensor) -> None:
    """Same grid, but diffusers steps back by 1000 // steps, not to the grid's own previous step."""
    solver = DDIM(50)
    scheduler = prepared(DDIMScheduler, 50, timestep_spacing="linspace", clip_sample=False)
    assert scheduler.timesteps.tolist() == list(solver.coordinates)
    ours, theirs = solve(solver, x, noise_prediction), by_scheduler(scheduler, x)
    assert 1e-4 < ((ours - theirs).abs() / ours.abs().max()).max() < 0.1


@pytest.mark.parametrize("steps", [2, 8, 20, 50])
def test_dpmpp_on_the_same_grid_is_the_same(x: Tensor, steps: int) -> None:
    """Also below 15 steps, where diffusers' lower_order_final lowers the last step: ours always is."""
    solver = DPMSolverPlusPlus2M(steps)
    scheduler = prepared(DPMSolverMultistepScheduler, solver.coordinates)
    ours = solve(solver, x, noise_prediction)
    torch.testing.assert_close(ours, by_scheduler(scheduler, x), rtol=0, atol=1e-5 * ours.abs().max().item())


def test_dpmpps_last_step_goes_from_the_last_evaluation_to_its_prediction(x: Tensor) -> None:
    """diffusers' other ending, sigma_min, spends that evaluation on a step of length 0."""
    solver = DPMSolverPlusPlus2M(20)
    scheduler = prepared(DPMSolverMultistepScheduler, solver.coordinates, final_sigmas_type="sigma_min")
    assert scheduler.sigmas[-1] == scheduler.sigmas[-2]
    ours, theirs = solve(solver, x, noise_prediction), by_scheduler(scheduler, x)
    bar = solver.alphas_bar()[0].item()
    predicted = (theirs - (1 - bar) ** 0.5 * noise_prediction(19, theirs, 0.0)) / bar**0.5
    close = 1e-5 * ours.abs().max().item()
    torch.testing.assert_close(ours, predicted, rtol=0, atol=close)
    assert (ours - theirs).abs().max() > 5 * close


def test_dpmpps_default_grid_is_even_in_time() -> None:
    scheduler = prepared(DPMSolverMultistepScheduler, 20)
    assert set(scheduler.timesteps.diff().tolist()) == {-49, -50}
    assert scheduler.timesteps[-1] == 50, "its last step alone has the noise of 50 timesteps to remove"


@pytest.mark.parametrize(("steps", "distinct"), [(20, 20), (50, 49)])
def test_dpmpps_log_snr_grid_is_rounded_in_half(x: Tensor, steps: int, distinct: int) -> None:
    """diffusers rounds the timesteps, not the sigmas that belong to them, and repeats one."""
    solver = DPMSolverPlusPlus2M(steps)
    scheduler = prepared(DPMSolverMultistepScheduler, steps, use_lu_lambdas=True)
    assert len(set(scheduler.timesteps.tolist())) == distinct
    at_its_timesteps = solver.sigmas()[scheduler.timesteps]
    assert (scheduler.sigmas[:-1] / at_its_timesteps).log().abs().max() > 0.1
    if distinct == steps:
        assert scheduler.timesteps.tolist() == list(solver.coordinates)
    ours = solve(solver, x, noise_prediction)
    assert 1e-4 < (ours - by_scheduler(scheduler, x)).abs().max() / ours.abs().max() < 0.1


@pytest.mark.parametrize("steps", [2, 8, 20, 50])
def test_euler_on_the_same_grid_is_the_same(x: Tensor, steps: int) -> None:
    """From noise of the forward process; diffusers' own scale leaves out the data's variance."""
    solver = Euler(steps)
    scheduler = prepared(EulerDiscreteScheduler, solver.coordinates)
    first = scheduler.sigmas[0]
    assert scheduler.init_noise_sigma == first < (first**2 + 1).sqrt()
    ours = solve(solver, x, noise_prediction)
    theirs = by_scheduler(scheduler, x * (first**2 + 1).sqrt())
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * ours.abs().max().item())


@pytest.mark.parametrize("karras", [False, True])
def test_eulers_timesteps_are_fractional(x: Tensor, karras: bool) -> None:
    """A model with whole timesteps would hear of another noise level than the one in its input."""
    solver = Euler(20)
    scheduler = prepared(EulerDiscreteScheduler, 20, use_karras_sigmas=karras)
    assert (scheduler.timesteps % 1 > 0).sum() == 18
    nearest = [round(t) for t in scheduler.timesteps.tolist()]
    assert (nearest == list(solver.coordinates)) is karras
    ours = solve(solver, x, noise_prediction)
    assert (ours - by_scheduler(scheduler, x * scheduler.init_noise_sigma)).abs().max() > 1e-4
