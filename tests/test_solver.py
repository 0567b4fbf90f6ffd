"""DDIM against the equations and against diffusers' scheduler."""

import pytest
import torch
from diffusers import DDIMScheduler

from smoothbench.solvers.ddim import DDIM


def test_the_references_grid() -> None:
    assert DDIM(50).coordinates[::-1][:5] == (0, 20, 41, 61, 82)
    assert DDIM(50).coordinates[:3] == (999, 979, 958)
    assert DDIM(1000).coordinates == tuple(float(t) for t in range(999, -1, -1))


@pytest.mark.parametrize("steps", [0, 1, 1001])
def test_steps_out_of_range(steps: int) -> None:
    with pytest.raises(ValueError, match=f"solver.steps must be a whole number from 2 to 1000, not {steps}"):
        DDIM(steps)


def test_a_point_mass_is_reached_exactly() -> None:
    """If the data is one point c, the exact noise prediction leads to c from anywhere."""
    solver, c = DDIM(7), 0.3
    bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)

    def exact(e: int, x: torch.Tensor, t: float) -> torch.Tensor:
        return (x - bar[int(t)].sqrt() * c) / (1 - bar[int(t)]).sqrt()

    x = torch.randn(5, dtype=torch.float64)
    torch.testing.assert_close(solver.integrate(x, exact, lambda: x), torch.full_like(x, c))


def test_diffusers_goes_to_another_previous_step() -> None:
    """Same grid, but diffusers steps back by 1000 // steps, not to the grid's own previous step."""
    solver = DDIM(50)
    scheduler = DDIMScheduler(1000, 1e-4, 0.02, "linear", timestep_spacing="linspace", clip_sample=False)
    scheduler.set_timesteps(50)
    assert scheduler.timesteps.tolist() == list(solver.coordinates)
    x = torch.randn(4, generator=torch.Generator().manual_seed(0))
    ours = solver.integrate(x, lambda e, z, t: 0.1 * z, lambda: x)
    theirs = x
    for t in scheduler.timesteps:
        theirs = scheduler.step(0.1 * theirs, t, theirs).prev_sample
    assert 1e-4 < ((ours - theirs).abs() / ours.abs()).max() < 0.1
