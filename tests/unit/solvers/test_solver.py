"""Every solver: its grid, its limits, and its order on a problem whose solution is known."""

import math
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.protocols import Predict
from smoothbench.solvers.ddim import DDIM
from smoothbench.solvers.deis import DEIS
from smoothbench.solvers.dpmpp import DPMSolverPlusPlus2M
from smoothbench.solvers.euler import Euler
from smoothbench.solvers.grids import nearest_distinct
from smoothbench.solvers.linear_betas import LinearBetas
from smoothbench.solvers.unipc import UniPC
from smoothbench.storage.identity import describe
from tests.support.solve import solve

SOLVERS: list[Any] = [DDIM, DPMSolverPlusPlus2M, Euler, UniPC, DEIS]
every_solver = pytest.mark.parametrize("solver", SOLVERS)
FINE = {"train_steps": 100_000, "beta_start": 1e-6, "beta_end": 2e-4}  # rounding to timesteps hardly shows


def gaussian(levels: LinearBetas, mean: float, std: float) -> Predict:
    """The exact noise prediction where the data is normal; a std of 0 is a point mass."""
    bar = levels.alphas_bar()

    def predict(e: int, x: Tensor, t: float) -> Tensor:
        alpha_squared = bar[int(t)]
        variance = alpha_squared * std**2 + 1 - alpha_squared
        return (1 - alpha_squared).sqrt() * (x - alpha_squared.sqrt() * mean) / variance

    return predict


def test_the_references_grid_of_ddim() -> None:
    assert DDIM(50).coordinates[::-1][:5] == (0, 20, 41, 61, 82)
    assert DDIM(50).coordinates[:3] == (999, 979, 958)
    assert 499 in DDIM(23).coordinates, (
        "a sum just below 499.5; eleven times its stride is 499.5, which rounds to 500"
    )


def test_every_grid_of_ddim_is_summed_as_the_reference_sums_it() -> None:
    """guided-diffusion's and DiT's `space_timesteps`: a sum of strides, rounded, not a product."""
    products = 0
    for steps in range(2, 1001):
        stride, place, places = 999 / (steps - 1), 0.0, []
        for _ in range(steps):
            places.append(round(place))
            place += stride
        assert DDIM(steps).coordinates[::-1] == tuple(places), steps
        changed = places != [round(i * stride) for i in range(steps)]
        assert describe(DDIM(steps))["version"] == (2 if changed else 1), (
            "what stays the same keeps its identity"
        )
        products += changed
    assert products == 278, "the step counts at which it matters"


def test_what_the_solver_yaml_does_not_say() -> None:
    """Identities hold a solver's parameters with their defaults, so these defaults must stay as they are."""
    betas = {"train_steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
    assert asdict(DDIM()) == {"steps": 50, **betas, "numerics": "reference"}
    assert asdict(DPMSolverPlusPlus2M()) == {"steps": 20, **betas, "grid": "log_snr"}
    assert describe(DPMSolverPlusPlus2M(9))["parameters"] == {"steps": 9, **betas}, "the grid came later"
    assert describe(DPMSolverPlusPlus2M(9, grid="karras"))["parameters"]["grid"] == "karras"
    assert asdict(UniPC()) == {"steps": 20, **betas, "grid": "log_snr", "order": 2, "variant": "bh2"}
    assert asdict(DEIS()) == {"steps": 20, **betas, "grid": "log_snr", "order": 2}
    assert asdict(Euler()) == {"steps": 50, **betas}


@every_solver
@pytest.mark.parametrize("steps", [2, 3, 20, 50, 200, 777, 1000])
def test_whole_timesteps_once_each_from_the_noisiest_to_the_last(solver: Any, steps: int) -> None:
    coordinates = solver(steps).coordinates
    assert len(coordinates) == steps and (coordinates[0], coordinates[-1]) == (999, 0)
    assert all(later < earlier for earlier, later in pairwise(coordinates))
    assert all(isinstance(t, float) and t.is_integer() for t in coordinates)


def test_steps_even_in_log_snr() -> None:
    solver = DPMSolverPlusPlus2M(20)
    steps = solver.sigmas().log()[[int(t) for t in solver.coordinates]].diff()
    even = steps.sum() / 19
    assert (steps[:14] / even - 1).abs().max() < 0.05  # the last timesteps lie further apart than this
    uniform = solver.sigmas().log()[[int(t) for t in DDIM(20).coordinates]].diff()
    assert (uniform[:14] / even - 1).abs().max() > 0.4


def test_steps_even_in_the_seventh_root_of_sigma() -> None:
    solver = Euler(20)
    steps = (solver.sigmas() ** (1 / 7))[[int(t) for t in solver.coordinates]].diff()
    even = steps.sum() / 19
    assert (steps[:14] / even - 1).abs().max() < 0.03
    assert (steps / even - 1).abs().max() < 0.15  # among the last timesteps rounding shows


def test_wanted_levels_that_share_a_timestep_move_up() -> None:
    levels = torch.arange(6.0)
    assert nearest_distinct(levels, torch.tensor([0.0, 0.1, 0.2, 5.0])) == (5, 2, 1, 0)
    assert nearest_distinct(levels, torch.tensor([0.0, 4.9, 4.9, 5.0])) == (5, 4, 3, 0)
    assert nearest_distinct(levels, torch.tensor([1.4, 1.6, 3.6])) == (4, 2, 1)


@every_solver
@pytest.mark.parametrize("steps", [0, 1, 1001, -3, 2.5, "20", None, True])
def test_steps_out_of_range(solver: Any, steps: Any) -> None:
    with pytest.raises(ValueError, match=f"solver.steps must be a whole number from 2 to 1000, not {steps}$"):
        solver(steps)


@every_solver
@pytest.mark.parametrize("steps", [2, 7])
def test_a_point_mass_is_reached_exactly(solver: Any, steps: int) -> None:
    """If the data is one point, the exact noise prediction leads there from anywhere, down to sigma 0."""
    built, x = solver(steps), torch.randn(5, dtype=torch.float64)
    reached = solve(built, x, gaussian(built, 0.3, 0.0))
    torch.testing.assert_close(reached, torch.full_like(x, 0.3))


@pytest.mark.parametrize(
    ("solver", "order"), [(DDIM, 1), (DPMSolverPlusPlus2M, 2), (Euler, 1), (UniPC, 3), (DEIS, 2)]
)
def test_order_of_convergence(solver: Any, order: int) -> None:
    """Along the ODE, a normal variable keeps its standardised value: the solution in closed form."""
    mean, std, x = 0.3, 0.5, torch.tensor([-1.5, 0.2, 1.0, 2.0], dtype=torch.float64)

    def error(steps: int) -> float:
        built = solver(steps, **FINE)
        last = built.alphas_bar()[-1]
        exact = mean + std * (x - last.sqrt() * mean) / (last * std**2 + 1 - last).sqrt()
        return (solve(built, x, gaussian(built, mean, std)) - exact).abs().max().item()

    errors = [error(steps) for steps in (50, 100, 200)]
    assert [math.log2(a / b) for a, b in pairwise(errors)] == pytest.approx([order, order], abs=0.15)
    assert errors[-1] < {1: 2e-2, 2: 4e-4, 3: 2e-5}[order]


@every_solver
def test_a_sample_does_not_depend_on_its_batch(solver: Any) -> None:
    built, evaluations = solver(9), list[tuple[int, float]]()
    x = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))

    def predict(e: int, z: Tensor, t: float) -> Tensor:
        evaluations.append((e, t))
        return 0.4 * torch.sin(3 * z) + t / 2000

    together, copy = solve(built, x, predict), x.clone()
    assert evaluations == list(enumerate(built.coordinates))
    alone = torch.cat([solve(built, row, predict) for row in x.split(1)])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)
    assert torch.equal(x, copy) and together.dtype == x.dtype


def test_euler_on_ddims_grid_is_ddim() -> None:
    class OnDDIMsGrid(Euler):
        coordinates = DDIM(12).coordinates

    x = torch.randn(5, dtype=torch.float64)
    predict = gaussian(DDIM(12), 0.3, 0.5)
    ddim = solve(DDIM(12), x, predict)
    torch.testing.assert_close(solve(OnDDIMsGrid(12), x, predict), ddim)
    assert (solve(Euler(12), x, predict) - ddim).abs().max() > 1e-3
