"""Rectified flow: its grid, its order, and diffusers' flow matching of the same shift."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_solver
from smoothbench.errors import UsageError
from smoothbench.models.opensora.sizes import timestep_shift
from smoothbench.running.experiment import Experiment
from smoothbench.solvers.rflow import RectifiedFlow
from tests.support.compose import composed
from tests.support.latent_dits import refusal
from tests.support.solve import solve

PUBLISHED = timestep_shift(480, 854, 51)


def velocity(e: int, x: Tensor, t: float) -> Tensor:
    """Neither linear in x nor free of t."""
    return torch.sin(3 * x) - x * t / 1000


def by_scheduler(steps: int, shift: float, z: Tensor) -> tuple[Tensor, list[float]]:
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)
    scheduler.set_timesteps(sigmas=[1 - i / steps for i in range(steps)])
    for t in scheduler.timesteps:
        z = scheduler.step(-velocity(0, z, t.item()), t, z).prev_sample
    return z, scheduler.timesteps.tolist()


@pytest.mark.parametrize("steps", [2, 10, 30])
@pytest.mark.parametrize("shift", [1.0, 1.5, PUBLISHED])
def test_flow_matching_of_the_same_shift_is_the_same(steps: int, shift: float) -> None:
    z = torch.randn(64, generator=torch.Generator().manual_seed(0))
    solver = RectifiedFlow(steps, shift)
    theirs, timesteps = by_scheduler(steps, shift, z)
    assert solver.coordinates == pytest.approx(timesteps, rel=1e-6)
    ours = solve(solver, z, velocity)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 * theirs.abs().max().item())
    other = by_scheduler(steps, shift + 1, z)[0]
    assert (ours - other).abs().max() > 1e-4


def test_the_published_grid() -> None:
    """480p of 9:16, 2 s: the figures of the reference run in float32."""
    assert round(PUBLISHED, 4) == 4.8431
    coordinates = RectifiedFlow(30, PUBLISHED).coordinates
    assert [round(t, 1) for t in coordinates[:5]] == [1000.0, 992.9, 985.5, 977.6, 969.2]
    assert [round(t, 1) for t in coordinates[-3:]] == [349.9, 257.0, 143.1]


def test_without_a_shift_the_grid_is_even() -> None:
    assert RectifiedFlow(4).coordinates == (1000, 750, 500, 250)
    moved = RectifiedFlow(4, 2.0).coordinates
    assert moved[0] == 1000 and all(
        there > here for there, here in zip(moved[1:], (750, 500, 250), strict=True)
    )


@pytest.mark.parametrize("shift", [1.0, PUBLISHED])
def test_its_error_falls_with_the_steps(shift: float) -> None:
    """dz/ds = -2 z along s = 1 - t, from s = 0 to 1: Euler's error is of first order."""
    start = torch.ones(1, dtype=torch.float64)
    exact = start * torch.exp(torch.tensor(-2.0, dtype=torch.float64))

    def error(steps: int) -> float:
        end = solve(RectifiedFlow(steps, shift), start, lambda e, x, t: -2 * x)
        return (end - exact).abs().item()

    errors = [error(steps) for steps in (40, 80, 160, 320)]
    assert all(coarse / fine == pytest.approx(2, abs=0.1) for coarse, fine in pairwise(errors))


def test_straight_paths_are_exact() -> None:
    """Where v is that of one point of data, one step as well as many end there."""
    x0, noise = torch.tensor([3.0, -1.0]), torch.tensor([0.5, 2.0])
    for steps in (2, 30):
        end = solve(RectifiedFlow(steps, PUBLISHED), noise, lambda e, x, t: x0 - noise)
        torch.testing.assert_close(end, x0)


def test_pictures_have_no_frames_to_shift_by() -> None:
    assert timestep_shift(512, 512, 1) == 1
    assert timestep_shift(512, 512, 17) == pytest.approx(5**0.5)
    refusal(lambda: timestep_shift(512, 512, 16), "16 frames", "at least 17")


def test_a_model_says_its_shift_and_the_command_line_another() -> None:
    def shift(*words: str) -> float:
        return build_solver(settings(composed("solver=rflow", *words)).specs[0].solver).shift  # type: ignore[attr-defined]

    assert shift() == 1
    assert shift("+model.shift=1.5") == 1.5
    assert shift("+model.shift=1.5", "solver.shift=2") == 2
    node = "{_target_:smoothbench.models.opensora.sizes.timestep_shift,height:480,width:854,frames:51}"
    assert shift(f"+model.shift={node}") == PUBLISHED


def test_a_model_of_noise_cannot_be_sampled_with_it(tmp_path: Path) -> None:
    cfg = composed("solver=rflow", "num_samples=4", "latency.rounds=0", f"results_dir={tmp_path}")
    with pytest.raises(UsageError) as error:
        Experiment(settings(cfg))
    assert "RectifiedFlow takes velocity, and dit_nano predicts noise" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 1), ("steps", 2.5), ("shift", 0), ("shift", float("nan"))]
)
def test_settings_out_of_range_are_named(name: str, value: float) -> None:
    refusal(lambda: RectifiedFlow(**{name: value}), f"solver.{name}", str(value))  # type: ignore[arg-type]
