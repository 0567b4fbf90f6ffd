"""How evaluations are told apart: timesteps that rise or are one per token, step callbacks, announcements."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smoothbench.caching import Schedule, SmoothCache, cached, calibrate, find_sites
from smoothbench.caching.announce import Announcer
from tests.support.linear_denoiser import (
    EVALS,
    Denoiser,
    Timestep,
    falls,
    falls_per_token,
    never_changes,
    rises,
    rises_per_token,
    sample,
)
from tests.support.tiny_video_pipeline import tiny_ltx_pipeline, video_latents


@pytest.mark.parametrize("timestep", [falls, rises, falls_per_token, rises_per_token])
def test_a_timestep_of_any_direction(timestep: Timestep) -> None:
    model = Denoiser()
    expected = calibrate(model, lambda: sample(model, falls))
    curves = calibrate(model, lambda: [sample(model, timestep), sample(model, timestep)])
    assert curves.l1_diff.shape == (2, 4, EVALS, 3)
    torch.testing.assert_close(curves.l1, expected.l1.repeat(2, 1, 1))
    schedule = SmoothCache(0.5).plan(curves.trajectory, curves)
    with cached(model, schedule) as run:
        first, second = sample(model, timestep), sample(model, timestep)
    assert torch.equal(first, second)
    assert run.skipped_share == pytest.approx(schedule.skipped_share) and run.skipped_share > 0.3


@pytest.mark.parametrize("timestep", [falls, rises])
def test_a_run_cut_short_is_seen_in_either_direction(timestep: Timestep) -> None:
    model = Denoiser()
    schedule = Schedule.steps(find_sites(model), [e % 2 == 0 for e in range(EVALS)])
    with pytest.raises(ValueError, match="the run ended in evaluation 4"), cached(model, schedule):
        sample(model, timestep, evals=4)
        sample(model, timestep)


def test_two_forwards_an_evaluation_with_a_rising_timestep() -> None:
    model = Denoiser()
    curves = calibrate(model, lambda: sample(model, rises, calls=2), calls_per_eval=2)
    assert curves.l1.shape == (1, 4, EVALS)
    with pytest.raises(ValueError, match=r"different numbers of evaluations: \[1, 10\].*calls_per_eval"):
        calibrate(model, lambda: [sample(model, rises), sample(model, rises, evals=1)])


def test_the_changes_of_all_forwards_of_an_evaluation_add_up() -> None:
    model = Denoiser()
    curves = calibrate(model, lambda: sample(model, falls, calls=2), calls_per_eval=2)
    first = model.blocks[0].attn1
    with torch.no_grad():
        outputs = [[first(torch.full((1, 8), e + 1.0 + i)) for i in (0, 1)] for e in range(EVALS)]
    for e in range(1, EVALS):
        changes = [(new - old).abs().sum() for new, old in zip(outputs[e], outputs[e - 1], strict=True)]
        assert curves.l1_diff[0, 0, e, 0].item() == pytest.approx(float(sum(changes)), rel=1e-5)
        assert curves.l1[0, 0, e].item() == pytest.approx(float(sum(y.abs().sum() for y in outputs[e])))


def test_runs_of_one_evaluation_are_an_error_that_names_them() -> None:
    model = Denoiser()
    with pytest.raises(
        ValueError, match=r"saw 10 runs of one evaluation \(timestep 5 in the first\).*step_callback\(\)"
    ):
        calibrate(model, lambda: sample(model, never_changes))


@pytest.mark.parametrize("timestep", [never_changes, lambda e: None])
def test_calibration_is_told_evaluations(timestep: Timestep) -> None:
    model = Denoiser()
    expected = calibrate(model, lambda: sample(model, falls, calls=2), calls_per_eval=2)

    def run(announcer: Announcer) -> None:
        sample(model, timestep, calls=2, announcer=announcer)

    curves = calibrate(model, run)
    assert torch.equal(curves.l1, expected.l1)
    assert curves.trajectory.sites == expected.trajectory.sites  # costs of both forwards
    assert curves.trajectory.coordinates == tuple(map(float, range(EVALS)))


def test_without_a_timestep_the_ways_of_telling_are_named() -> None:
    model = Denoiser()
    for attempt in (
        lambda: calibrate(model, lambda: sample(model, lambda e: None)),
        lambda: _cached_without(model),
    ):
        with pytest.raises(
            ValueError, match=r"run\.step\(e, \.\.\.\), or pass callback_on_step_end=run\.step_c"
        ):
            attempt()


def _cached_without(model: nn.Module) -> None:
    with cached(model, Schedule.steps(find_sites(model), [e % 2 == 0 for e in range(EVALS)])):
        sample(model, lambda e: None)


class Pipeline:
    """Calls back at the end of each step, as diffusers' pipelines do; a step takes `calls` forwards."""

    def __init__(self, model: nn.Module, calls: int = 2) -> None:
        self.model, self.calls, self.num_timesteps = model, calls, 0

    def __call__(self, steps: int, callback: Any = None, skip_at: int | None = None) -> Tensor:
        self.num_timesteps, outputs = steps, []
        with torch.no_grad():
            for i in range(steps):
                for branch in range(self.calls - (i == skip_at)):
                    outputs.append(self.model(torch.full((1, 8), i + 1.0 + branch)))
                if callback is not None:
                    values = {"latents": outputs[-1]}
                    assert callback(self, i, torch.tensor(i), values) is values
        return torch.stack(outputs)


def test_a_step_callback_tells_evaluations_of_several_forwards() -> None:
    model = Denoiser()
    pipe = Pipeline(model)
    curves = calibrate(model, lambda announcer: [pipe(EVALS, announcer.step_callback()) for _ in range(2)])
    expected = calibrate(model, lambda: sample(model, falls, calls=2), calls_per_eval=2)
    assert torch.equal(curves.l1, expected.l1.repeat(2, 1, 1))
    schedule = Schedule.steps(find_sites(model), [e % 2 == 0 for e in range(EVALS)])
    with cached(model, schedule, calls_per_eval=2):
        reference = sample(model, falls, calls=2)
    with cached(model, schedule) as run:
        first, second = (pipe(EVALS, run.step_callback()) for _ in range(2))
    assert torch.equal(first, reference) and torch.equal(second, reference)
    assert run.forwards == 4 * EVALS


def test_a_step_callback_sees_runs_that_do_not_fit() -> None:
    model = Denoiser()
    pipe = Pipeline(model)
    schedule = Schedule.steps(find_sites(model), [e % 2 == 0 for e in range(EVALS)])
    with pytest.raises(ValueError, match="the run ended in evaluation 7"), cached(model, schedule) as run:
        pipe(7, run.step_callback())
    with pytest.raises(ValueError, match="evaluation 3 lacks a forward"), cached(model, schedule) as run:
        pipe(EVALS, run.step_callback(), skip_at=3)
    message = "evaluation 1 has more forwards than the 1 of evaluation 0"
    with pytest.raises(ValueError, match=message), cached(model, schedule) as run:
        pipe(EVALS, run.step_callback(), skip_at=0)
    message = "step 5 was said to end, but evaluation 0 was under way"
    with pytest.raises(ValueError, match=message), cached(model, schedule) as run:
        callback = run.step_callback()
        model(torch.zeros(1, 8))
        callback(None, 5, None, {})


@pytest.mark.parametrize("told", [True, False])
def test_a_real_image_to_video_pipeline(told: bool) -> None:
    pipe: Any = tiny_ltx_pipeline()
    model = pipe.transformer

    def run(announcer: Announcer) -> Tensor:
        return video_latents(
            pipe, EVALS, **({"callback_on_step_end": announcer.step_callback()} if told else {})
        )

    before = video_latents(pipe, EVALS)
    curves = calibrate(model, run)
    assert curves.l1_diff.shape == (1, 6, EVALS, 3)
    schedule = Schedule.steps(find_sites(model), [e % 2 == 0 for e in range(EVALS)])
    with cached(model, schedule) as announcer:
        first, second = run(announcer), run(announcer)
    assert announcer.calls == {site.name: EVALS for site in find_sites(model)}
    assert torch.equal(first, second) and not torch.equal(first, before)
