"""Which timesteps a schedule is held against: those that move, as numbers of any kind, or none where none is known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from smoothbench.caching import Schedule, SmoothCache, Taylor, Trajectory, cached, calibrate, find_sites
from tests.support.linear_denoiser import EVALS, Denoiser, falls, sample
from tests.support.tiny_dit import TinyDiT, fora


def planned(curves: Any) -> Schedule:
    return SmoothCache(0.5).plan(curves.trajectory, curves)


def test_two_stages_of_an_evaluation_have_their_own_timesteps() -> None:
    model = Denoiser()

    def run() -> Tensor:
        times = [falls(e + branch) for e in range(EVALS) for branch in (0, 1)]
        with torch.no_grad():
            return torch.stack([model(torch.full((1, 8), float(t)), timestep=t) for t in times])

    curves = calibrate(model, run, calls_per_eval=2)
    assert curves.trajectory.coordinates == tuple(falls(e).item() for e in range(EVALS))
    with cached(model, planned(curves), calls_per_eval=2) as seen:
        run()
    assert seen.skipped_share > 0.3


@pytest.mark.parametrize("kind", [torch.tensor, np.float64, np.int64, float, int])
def test_announced_timesteps_are_numbers_of_any_kind(tiny: TinyDiT, kind: Any) -> None:
    curves = calibrate(
        tiny.denoiser, lambda announcer: tiny.run(before=lambda e, t: announcer.step(e, kind(t)))
    )
    assert curves.trajectory.coordinates == pytest.approx(np.linspace(999, 0, tiny.evals), abs=1)
    with cached(tiny.denoiser, planned(curves)) as run:
        tiny.run(before=lambda e, t: run.step(e, kind(t)))
    meta = {"coordinates": list(np.linspace(999, 0, tiny.evals))}
    assert Schedule.of(find_sites(tiny.denoiser), fora(tiny).computed, meta).coordinates is not None


def test_announced_without_timesteps_those_that_are_visible_count(tiny: TinyDiT) -> None:
    curves = calibrate(tiny.denoiser, lambda announcer: tiny.run(before=lambda e, t: announcer.step(e)))
    assert curves.trajectory.coordinates[0] == 999
    with cached(tiny.denoiser, planned(curves)):
        tiny.run()


def test_where_no_timestep_is_known_none_is_compared(tiny: TinyDiT) -> None:
    model = Denoiser()
    curves = calibrate(model, lambda announcer: sample(model, lambda e: None, announcer=announcer))
    schedule = planned(curves)
    assert schedule.coordinates is None
    with cached(model, schedule):
        sample(model, falls)
    numbered = Trajectory(find_sites(tiny.denoiser), tuple(range(tiny.evals)))
    SmoothCache(0.5).plan(numbered, calibrate(tiny.denoiser, tiny.run))


class Frames(nn.Module):
    """A denoiser whose timestep is one per frame, the first frames given."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Denoiser()

    def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
        output: Tensor = self.inner(x)
        return output

    def cache_sites(self) -> Any:
        return [replace(site, path=f"inner.{site.path}") for site in find_sites(self.inner)]


def test_the_number_of_given_frames_does_not_matter() -> None:
    model = Frames()

    def run(frames: int, given: int = 1) -> None:
        with torch.no_grad():
            for e in range(EVALS):
                timestep = torch.tensor([[0.0] * given + [10.0 - e] * (frames - given)])
                model(torch.full((1, 8), e + 1.0), timestep=timestep)

    curves = calibrate(model, lambda: run(3))
    for frames, given in ((3, 1), (5, 1), (9, 4), (4, 0)):
        with cached(model, planned(curves)) as seen:
            run(frames, given)
        assert seen.skipped_share > 0.3


def test_a_timestep_that_comes_twice_is_expanded_from_its_newest_output() -> None:
    history = [(5.0, torch.tensor(3.0)), (5.0, torch.tensor(9.0)), (7.0, torch.tensor(1.0))]
    taylor = Taylor(order=2, coordinate="timestep")
    assert taylor(history, 4.0) == taylor([history[0], history[2]], 4.0) == torch.tensor(4.0)


def test_passes_at_other_timesteps_are_refused() -> None:
    model, calls = Denoiser(), list[int]()

    def run() -> None:
        calls.append(1)
        sample(model, lambda e: falls(e) / len(calls))

    with pytest.raises(ValueError, match="sampled differently"):
        calibrate(model, run, passes=2)


@pytest.mark.parametrize("count", [{"samples": -1}, {"rows_per_sample": 0}, {"passes": 0}, {"k_max": 0}])
def test_counts_below_one_are_refused_by_name(tiny: TinyDiT, count: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(count))} must be at least 1"):
        calibrate(tiny.denoiser, tiny.run, **count)  # type: ignore[arg-type]
