"""DPM-Solver++(3M) SDE: its update digit by digit, its order, its law, and why diffusers' cannot stand in."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import mpmath
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor

from smoothbench.protocols import Predict
from smoothbench.sampling.loop import SeededNoise
from smoothbench.solvers.dpmpp_3m_sde import DPMSolverPlusPlus3MSDE
from tests.support.solve import solve

MEAN, STD = 0.3, 0.5
RANGE = {"sigma_min": math.exp(-3), "sigma_max": math.exp(3)}


def v_of(denoised: Callable[[Tensor, float], Tensor]) -> Predict:
    """The v-prediction with which a solver arrives at this x0 of an unscaled x."""

    def predict(e: int, z: Tensor, sigma: float) -> Tensor:
        total = math.hypot(sigma, 1)
        return (z / total - denoised(z * total, sigma)) * total / sigma

    return predict


def gaussian(x: Tensor, sigma: float) -> Tensor:
    """The exact x0 where the data is normal."""
    return (STD**2 * x + sigma**2 * MEAN) / (STD**2 + sigma**2)


def test_the_published_grid() -> None:
    grid = DPMSolverPlusPlus3MSDE().coordinates
    assert len(grid) == 100 and (grid[0], grid[-1]) == pytest.approx((500, 0.3), rel=1e-14)
    assert [math.log(a / b) for a, b in pairwise(grid)] == pytest.approx([0.07494] * 99, abs=1e-5)
    curved = DPMSolverPlusPlus3MSDE(5, sigma_min=1.0, sigma_max=math.e, rho=2.0).coordinates
    assert [math.log(sigma) for sigma in curved] == pytest.approx([1, 0.5625, 0.25, 0.0625, 0])


def test_what_the_solver_yaml_does_not_say() -> None:
    """Sample identities hash the YAML alone, so these defaults must stay as they are."""
    published = {"steps": 100, "sigma_min": 0.3, "sigma_max": 500.0, "rho": 1.0, "eta": 1.0}
    assert asdict(DPMSolverPlusPlus3MSDE()) == {**published, "sigma_data": 1.0}


def by_hand(
    sigmas: list[float], eta: float, data: float, x: float, vs: list[float], noises: list[float]
) -> list[float]:
    """What the model is given at each level, then the sample: the published formulas at 50 digits."""
    mpmath.mp.dps = 50
    s = [mpmath.mpf(sigma) for sigma in sigmas]
    x, inputs, x0, widths = s[0] * mpmath.mpf(x), [], [], []
    for i, sigma in enumerate(s):
        inputs.append(x / mpmath.sqrt(sigma**2 + data**2))
        skip, out = data**2 / (sigma**2 + data**2), -sigma * data / mpmath.sqrt(sigma**2 + data**2)
        x0.append(skip * x + out * vs[i])
        if i == len(s) - 1:
            break
        h = mpmath.log(sigma) - mpmath.log(s[i + 1])
        widths.append(h)
        big = h * (1 + eta)
        phi_2 = (mpmath.exp(-big) - 1) / big + 1
        phi_3 = phi_2 / big - mpmath.mpf(1) / 2
        x = mpmath.exp(-big) * x + (1 - mpmath.exp(-big)) * x0[i]
        if i == 1:
            x += phi_2 * (x0[1] - x0[0]) / (widths[0] / h)
        if i > 1:
            r0, r1 = widths[i - 1] / h, widths[i - 2] / h
            d1_0, d1_1 = (x0[i] - x0[i - 1]) / r0, (x0[i - 1] - x0[i - 2]) / r1
            x += phi_2 * (d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1)) - phi_3 * (d1_0 - d1_1) / (r0 + r1)
        x += s[i + 1] * mpmath.sqrt(1 - mpmath.exp(-2 * eta * h)) * noises[i]
    return [float(value) for value in [*inputs, x0[-1]]]


@pytest.mark.parametrize(
    ("steps", "rho", "eta", "data"), [(7, 1.0, 1.0, 1.0), (9, 3.0, 0.4, 0.5), (5, 0.5, 0.0, 2.0)]
)
def test_the_update_digit_by_digit(steps: int, rho: float, eta: float, data: float) -> None:
    solver = DPMSolverPlusPlus3MSDE(steps, rho=rho, eta=eta, sigma_data=data)
    generator = torch.Generator().manual_seed(steps)
    x, *rows = torch.randn(2 * steps, 6, generator=generator, dtype=torch.float64)
    vs, noises, outputs = rows[:steps], rows[steps:], list[Tensor]()
    left = iter(noises)

    def predict(e: int, z: Tensor, sigma: float) -> Tensor:
        outputs.append(z)
        assert sigma == solver.coordinates[e]
        return vs[e]

    outputs.append(solve(solver, x, predict, lambda: next(left)))
    for i in range(6):
        values = [[row[i].item() for row in group] for group in (vs, noises)]
        wanted = by_hand(list(solver.coordinates), eta, data, x[i].item(), *values)
        assert [row[i].item() for row in outputs] == pytest.approx(wanted, rel=0, abs=1e-10)


def ode_error(solver: DPMSolverPlusPlus3MSDE) -> float:
    """Along the ODE, a normal variable keeps its standardised value: the solution in closed form."""
    x = torch.tensor([-1.5, 0.2, 1.0, 2.0], dtype=torch.float64)
    first, last = solver.coordinates[0], solver.coordinates[-1]
    there = MEAN + (first * x - MEAN) * math.sqrt((STD**2 + last**2) / (STD**2 + first**2))
    sample = solve(solver, x, v_of(gaussian))
    return (sample - gaussian(there, last)).abs().max().item()


class Midpoint(DPMSolverPlusPlus3MSDE):
    """DPM-Solver++(2M), in the form of the scheduler that Stable Audio Open ships."""

    def _mean_at_next_level(self, e: int, x: Tensor, x0: Sequence[Tensor]) -> Tensor:
        if e == 0:
            return super()._mean_at_next_level(e, x, x0)
        h, decay = self._log_sigma_step(e), (1 + self.eta) * self._log_sigma_step(e)
        slope = (x0[0] - x0[1]) * (h / self._log_sigma_step(e - 1))
        return math.exp(-decay) * x - math.expm1(-decay) * (x0[0] + slope / 2)


def path(point: float) -> float:
    """A solution of dx / dlambda = -2 (x - sin(lambda)): the noise-free update with eta = 1, where x0 = sin(lambda)."""
    return (4 * math.sin(point) - 2 * math.cos(point)) / 5


def drift_error(solver: DPMSolverPlusPlus3MSDE) -> float:
    """Without its noise, of x at the last level; lambda goes from -3 to 3, from x = 0."""
    reached: list[float] = []

    def denoised(x: Tensor, sigma: float) -> Tensor:
        reached.append(x.item())
        return torch.full_like(x, math.sin(-math.log(sigma)))

    solve(solver, torch.zeros(1, dtype=torch.float64), v_of(denoised), lambda: torch.zeros(1))
    return abs(reached[-1] - path(3) + path(-3) * math.exp(-12))


def test_order_of_convergence_without_noise() -> None:
    """Of second order in the end (k-diffusion's weight of the second difference), but well below 2M."""
    counts = (400, 800, 1600, 3200)
    errors = [ode_error(DPMSolverPlusPlus3MSDE(steps, eta=0.0)) for steps in counts]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders == sorted(orders, reverse=True) and 1.9 < orders[-1] < 2.3
    drift = [drift_error(DPMSolverPlusPlus3MSDE(steps, **RANGE)) for steps in (200, 400, 800)]
    assert all(1.8 < math.log2(a / b) < 2.2 for a, b in pairwise(drift))
    for steps in (50, 100, 200):
        assert 8 * drift_error(DPMSolverPlusPlus3MSDE(steps, **RANGE)) < drift_error(Midpoint(steps, **RANGE))
    assert 2 * ode_error(DPMSolverPlusPlus3MSDE(eta=0.0)) < ode_error(Midpoint(eta=0.0))


def law(steps: int, eta: float) -> tuple[float, float]:
    """Mean and variance of the samples of a normal variable: the sampler is affine in its noise."""
    solver, draws = DPMSolverPlusPlus3MSDE(steps, sigma_max=80.0, sigma_min=0.05, eta=eta), list[int]()
    unit = torch.eye(steps + 1, dtype=torch.float64)  # row k: the noise of draw k alone; the last row: none

    def noise() -> Tensor:
        draws.append(0)
        return unit[len(draws)]

    sample = solve(solver, unit[0], v_of(gaussian), noise)
    assert len(draws) == steps - 1
    return sample[-1].item(), (sample[:-1] - sample[-1]).square().sum().item()


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_with_noise_the_law_of_the_data_is_reached(eta: float) -> None:
    exact = STD**4 / (STD**2 + 0.05**2)  # of the x0 of the last level
    errors = [abs(law(steps, eta)[1] / exact - 1) for steps in (50, 100, 200)]
    assert errors[0] > 1.5 * errors[1] > 2.2 * errors[2] and errors[2] < 0.01
    assert law(100, eta)[0] == pytest.approx(MEAN, abs=1e-3)


def test_eta_to_zero_is_the_ode() -> None:
    x = torch.randn(6, dtype=torch.float64)
    ode, near, far = (
        solve(DPMSolverPlusPlus3MSDE(30, eta=eta), x, v_of(gaussian), lambda: torch.ones_like(x))
        for eta in (0.0, 1e-12, 1.0)
    )
    assert (near - ode).abs().max() < 1e-5 < 0.05 < (far - ode).abs().max()


def local_errors(h: float) -> tuple[float, float]:
    """Of one noise-free step on x0 = sin(lambda), exact before it: ours, and diffusers' third order."""
    start = 0.7
    sigmas = [math.exp(-(start + k * h)) for k in (-2, -1, 0, 1)]
    x0 = {sigma: math.sin(-math.log(sigma)) for sigma in sigmas}

    before, exact = torch.tensor([path(start)], dtype=torch.float64), path(start + h)
    data = [torch.full((1,), x0[sigma], dtype=torch.float64) for sigma in sigmas[:3]]
    solver = DPMSolverPlusPlus3MSDE(4, sigma_max=sigmas[0], sigma_min=sigmas[3])
    ours = solver._mean_at_next_level(2, before, data[::-1])
    theirs: Any = DPMSolverMultistepScheduler(solver_order=3, algorithm_type="sde-dpmsolver++")
    theirs.sigmas, theirs._step_index = torch.tensor(sigmas, dtype=torch.float64), 2
    alpha = [(1 + sigma**2) ** -0.5 for sigma in sigmas]  # its x is scaled to the variance of 1
    after = theirs.multistep_dpm_solver_third_order_update(
        data, sample=alpha[2] * before, noise=torch.zeros_like(before)
    )
    return abs(ours.item() - exact), abs(after.item() / alpha[3] - exact)


def test_the_third_order_of_diffusers_has_a_wrong_sign() -> None:
    """It adds to its second difference a half that it should take away, and is of first order: not for use."""
    errors = [local_errors(h) for h in (0.15, 0.075, 0.0375)]
    orders = [[math.log2(a / b) for a, b in pairwise(series)] for series in zip(*errors, strict=True)]
    assert all(2.8 < order < 3.3 for order in orders[0])
    assert all(1.8 < order < 2.2 for order in orders[1]), "diffusers has mended it: compare again"
    assert all(theirs > 10 * ours for ours, theirs in errors)


def test_a_point_mass_is_reached_exactly() -> None:
    x = torch.randn(5, dtype=torch.float64)
    predict = v_of(lambda x, sigma: torch.full_like(x, MEAN))
    reached = solve(DPMSolverPlusPlus3MSDE(7), x, predict, lambda: torch.zeros_like(x))
    torch.testing.assert_close(reached, torch.full_like(x, MEAN))


def test_a_sample_does_not_depend_on_its_batch() -> None:
    solver, seeds = DPMSolverPlusPlus3MSDE(9), [3, 1, 4]

    def sample(some: list[int]) -> Tensor:
        noise = SeededNoise(some, (2, 6), torch.device("cpu"))
        return solve(solver, noise(), lambda e, z, sigma: 0.4 * torch.sin(3 * z) + 1 / sigma, noise)

    together = sample(seeds)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, torch.cat([sample([seed]) for seed in seeds]), rtol=1e-6, atol=1e-6)
    assert (sample([3]) - sample([1])).abs().max() > 0.1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"steps": 1}, "solver.steps must be a whole number from 2, not 1"),
        ({"steps": True}, "solver.steps"),
        ({"sigma_min": 0.0}, "solver.sigma_min must be a finite number above 0, not 0.0"),
        ({"sigma_max": math.inf}, "solver.sigma_max"),
        ({"sigma_min": 3.0, "sigma_max": 3.0}, "solver.sigma_min=3.0 must be below sigma_max=3.0"),
        ({"rho": -1.0}, "solver.rho"),
        ({"eta": -0.1}, "solver.eta must be a finite number from 0, not -0.1"),
        ({"eta": "1"}, "solver.eta"),
        ({"sigma_data": math.nan}, "solver.sigma_data"),
    ],
)
def test_settings_out_of_range(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as error:
        DPMSolverPlusPlus3MSDE(**wrong)
    assert str(error.value).startswith(says)
