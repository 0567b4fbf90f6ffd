"""DPM-Solver++(2S): its grid, its order, where it is exact, and diffusers' scheduler beside it."""

import math
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import pytest
import torch
from diffusers import DPMSolverSinglestepScheduler
from torch import Tensor

from smoothbench.protocols import Predict
from smoothbench.solvers.dpm_singlestep import DPMSolverSinglestep
from tests.support.solve import solve

MEAN, STD = 0.3, 0.5
X = torch.tensor([-1.5, 0.2, 1.0, 2.0], dtype=torch.float64)


class Mild(DPMSolverSinglestep):
    """A schedule with much noise left at the end: steps are small in log-SNR too, so that the order shows."""

    def alphas_bar(self) -> Tensor:
        return torch.linspace(math.log(0.7), math.log(0.003), self.train_steps, dtype=torch.float64).exp()


def interpolated(solver: DPMSolverSinglestep, t: float) -> float:
    """alpha^2 at a fractional time, written anew: exp of a straight line between whole times 1, 2, ..."""
    logs = [math.nan, *solver.alphas_bar().log().tolist()]  # logs[t]: the time t of the model
    below = min(max(math.floor(t + 1e-9), 1), solver.train_steps - 1)
    return math.exp(logs[below] + (t - below) * (logs[below + 1] - logs[below]))


def gaussian(solver: DPMSolverSinglestep, std: float = STD) -> Predict:
    """The exact noise prediction where the data is normal; a std of 0 is a point mass."""

    def predict(e: int, x: Tensor, t: float) -> Tensor:
        signal = interpolated(solver, t)
        return (1 - signal) ** 0.5 * (x - signal**0.5 * MEAN) / (signal * std**2 + 1 - signal)

    return predict


def error(solver: DPMSolverSinglestep) -> float:
    """Along the ODE, a normal variable keeps its standardised value: the solution in closed form."""
    bar = solver.alphas_bar()
    (m0, s0), (m1, s1) = ((b.sqrt() * MEAN, (b * STD**2 + 1 - b).sqrt()) for b in (bar[-1], bar[0]))
    reached = solve(solver, X, gaussian(solver))
    return (reached - (m1 + s1 * (X - m0) / s0)).abs().max().item()


def lambdas(solver: DPMSolverSinglestep, times: tuple[float, ...]) -> list[float]:
    signals = [interpolated(solver, t) for t in times]
    return [math.log(s / (1 - s)) / 2 for s in signals]


def test_starts_of_steps_are_even_in_time_and_evaluations_between_halfway_in_log_snr() -> None:
    solver = DPMSolverSinglestep(50)
    starts, halfways = solver.coordinates[::2], solver.coordinates[1::2]
    assert starts == pytest.approx([1000 - i * 999 / 25 for i in range(25)])
    assert starts[:3] == pytest.approx((1000, 960.04, 920.08))
    edges, middles = lambdas(solver, (*starts, 1.0)), lambdas(solver, halfways)
    assert middles == pytest.approx([(a + b) / 2 for a, b in pairwise(edges)], rel=1e-9)
    assert not any(t.is_integer() for t in halfways)


@pytest.mark.parametrize("steps", [2, 4, 20, 50, 778, 1000])
def test_each_evaluation_once_and_falling(steps: int) -> None:
    solver, evaluations = DPMSolverSinglestep(steps), list[tuple[int, float]]()

    def predict(e: int, x: Tensor, t: float) -> Tensor:
        evaluations.append((e, t))
        return 0.1 * x

    solve(solver, X, predict)
    assert len(solver.coordinates) == steps and evaluations == list(enumerate(solver.coordinates))
    assert solver.coordinates[0] == 1000 and solver.coordinates[-1] > 1
    assert all(later < earlier for earlier, later in pairwise(solver.coordinates))


def test_what_the_solver_yaml_does_not_say() -> None:
    """Sample identities hash the YAML alone, so these defaults must stay: betas of Stable Diffusion."""
    defaults = {"steps": 50, "train_steps": 1000, "beta_start": 0.00085, "beta_end": 0.012}
    solver = DPMSolverSinglestep()
    assert asdict(solver) == defaults
    scheduler: Any = DPMSolverSinglestepScheduler(1000, 0.00085, 0.012, "scaled_linear")
    torch.testing.assert_close(solver.alphas_bar().float(), scheduler.alphas_cumprod, rtol=1e-5, atol=0)


def test_the_order_of_convergence_is_two() -> None:
    errors = [error(Mild(steps)) for steps in (50, 100, 200)]
    assert [math.log2(a / b) for a, b in pairwise(errors)] == pytest.approx([2, 2], abs=0.1)
    assert errors[-1] < 3e-4
    published = [error(DPMSolverSinglestep(steps)) for steps in (20, 50, 200)]
    assert published == sorted(published, reverse=True) and published[-1] < 5e-3


@pytest.mark.parametrize("steps", [2, 6])
def test_exact_where_the_data_prediction_is_constant(steps: int) -> None:
    """A point mass: the sample keeps its own noise and ends at time 1, with the noise of beta_start."""
    solver = DPMSolverSinglestep(steps)
    bar = solver.alphas_bar()
    noise = (X - bar[-1].sqrt() * MEAN) / (1 - bar[-1]).sqrt()
    exact = bar[0].sqrt() * MEAN + (1 - bar[0]).sqrt() * noise
    assert solver.coordinates[-1] > 1 and (1 - bar[0]).sqrt().item() == pytest.approx(0.00085**0.5)
    reached = solve(solver, X, gaussian(solver, 0.0))
    torch.testing.assert_close(reached, exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [0, 1, 3, 51, 1002, -2, 2.0, "20", None, True])
def test_steps_odd_or_out_of_range(steps: Any) -> None:
    in_range = type(steps) is int and 1 < steps < 1000
    message = (
        "takes two model evaluations, so their number is even" if in_range else "whole number from 2 to 1000"
    )
    with pytest.raises(ValueError, match=f"^solver.steps.*{message}"):
        DPMSolverSinglestep(steps)


def noise_prediction(e: int, x: Tensor, t: float) -> Tensor:
    """Bounded samples, yet neither linear in x nor free of t."""
    return x * t / 1000 + 0.1 * torch.sin(3 * x)


def diffusers_scheduler(steps: int) -> Any:
    """Second order throughout, ending at the least noisy trained level."""
    options: Any = {"lower_order_final": False, "final_sigmas_type": "sigma_min", "solver_order": 2}
    scheduler: Any = DPMSolverSinglestepScheduler(1000, 0.00085, 0.012, "scaled_linear", **options)
    scheduler.set_timesteps(steps)
    return scheduler


def by_scheduler(scheduler: Any, x: Tensor, times: list[float]) -> Tensor:
    """Sample with diffusers; `times` are the denoiser's timesteps, the scheduler has its own."""
    for e, (t, time) in enumerate(zip(scheduler.timesteps, times, strict=True)):
        x = scheduler.step(noise_prediction(e, x, time), t, x).prev_sample
    return x


@pytest.mark.parametrize("steps", [2, 20, 50])
def test_diffusers_makes_the_same_update_on_the_same_levels(steps: int) -> None:
    """Its levels are ours only where they are put in by hand: no setting of it makes this grid."""
    solver, scheduler = DPMSolverSinglestep(steps), diffusers_scheduler(steps)
    x = torch.randn(64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    levels = [math.exp(-level) for level in lambdas(solver, (*solver.coordinates, 1.0))]
    assert scheduler.sigmas[-1].item() == pytest.approx(levels[-1], rel=1e-4), "both end at the first beta"
    scheduler.sigmas = torch.tensor(levels, dtype=torch.float64)
    ours = solve(solver, x, noise_prediction)
    theirs = by_scheduler(scheduler, x, list(solver.coordinates))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9 * ours.abs().max().item())


def test_diffusers_own_grid_has_both_evaluations_even_in_time() -> None:
    solver, scheduler = DPMSolverSinglestep(50), diffusers_scheduler(50)
    times = scheduler.timesteps + 1.0  # its timestep i is time (i + 1) / 1000
    assert scheduler.timesteps.diff().abs().max() - scheduler.timesteps.diff().abs().min() <= 1
    assert (times[::2] - torch.tensor(solver.coordinates[::2])).abs().max() < 1, (
        "starts of steps agree, rounded"
    )
    assert (times[1::2] - torch.tensor(solver.coordinates[1::2])).abs().max() > 10, (
        "the points between do not"
    )
    x = torch.randn(64, generator=torch.Generator().manual_seed(0))
    ours = solve(solver, x, noise_prediction)
    difference = (ours - by_scheduler(scheduler, x, times.tolist())).abs().max() / ours.abs().max()
    assert 1e-4 < difference < 0.1
