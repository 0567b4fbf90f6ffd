"""The library on foreign diffusers pipelines: the design's snippet word for word, and what may go wrong."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from smoothbench.caching import Schedule, cached, calibrate, find_sites
from tests.support.tiny_pipelines import (
    call_arguments,
    tiny_dit_pipeline,
    tiny_pixart_pipeline,
    tiny_stable_audio_pipeline,
)

pytestmark = pytest.mark.slow

SNIPPET = """\
from smoothbench.caching import Schedule, SmoothCache, cached, calibrate, find_sites
curves   = calibrate(pipe.transformer, lambda: pipe(class_labels=..., num_inference_steps=50))
schedule = SmoothCache(alpha=0.18).plan(curves.trajectory, curves)
with cached(pipe.transformer, schedule, predictor="reuse") as run:      # or "taylor1", ...
    pipe(class_labels=..., num_inference_steps=50)
print(run.calls, run.skipped_share)
"""
Build = Callable[[], DiffusionPipeline]
TEXT_KINDS = ["self_attn", "cross_attn", "ff"]
KINDS = {
    tiny_dit_pipeline: ["self_attn", "ff"],
    tiny_pixart_pipeline: TEXT_KINDS,
    tiny_stable_audio_pipeline: TEXT_KINDS,
}
STEPS = 12


class Stopped(Exception):
    """What these tests raise inside a model."""


@pytest.fixture(params=KINDS, ids=lambda build: build.__name__)
def pipe(request: pytest.FixtureRequest) -> Any:
    return request.param()


def sample(pipe: Any, batch: int = 1, steps: int = STEPS) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    arguments = call_arguments(pipe, batch)
    return torch.as_tensor(pipe(**arguments, num_inference_steps=steps, generator=generator)[0])


def every_second(pipe: Any, evals: int = STEPS) -> Schedule:
    return Schedule.steps(find_sites(pipe.transformer), [e % 2 == 0 for e in range(evals)])


def own_forwards(pipe: Any) -> list[str]:
    return [name for name, module in pipe.transformer.named_modules() if "forward" in vars(module)]


@contextmanager
def failing_at(pipe: Any, forward: int) -> Iterator[None]:
    """Raise Stopped inside the last block of the given forward of the denoiser, counted from 1."""
    left = forward

    def hook(*_: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Stopped

    with pipe.transformer.transformer_blocks[-1].register_forward_pre_hook(hook):
        yield


@contextmanager
def reused_by_hooks(pipe: Any, schedule: Schedule) -> Iterator[None]:
    """The same reuse without the engine: every branch runs, and a hook puts its last kept output in place."""
    forwards = 0
    outputs: dict[str, Tensor] = {}

    def count(*_: Any) -> None:
        nonlocal forwards
        forwards += 1

    def hook(i: int, name: str) -> Callable[..., Tensor]:
        def swap(module: Any, inputs: Any, output: Tensor) -> Tensor:
            if schedule.computed[forwards - 1][i]:
                outputs[name] = output
            return outputs[name]

        return swap

    handles = [pipe.transformer.register_forward_pre_hook(count)]
    for i, site in enumerate(find_sites(pipe.transformer)):
        branch = pipe.transformer.get_submodule(site.path)
        handles.append(branch.register_forward_hook(hook(i, site.name)))
    yield
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("predictor", ["reuse", "taylor1"])
def test_the_snippet_word_for_word(pipe: Any, predictor: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = SNIPPET.replace("class_labels=...", "**arguments").replace('"reuse"', f'"{predictor}"')
    names: dict[str, Any] = {"pipe": pipe, "arguments": call_arguments(pipe)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the snippet passes no generator
        exec(code, names)
    run, schedule = names["run"], names["schedule"]
    assert 0 < run.skipped_share < 1
    assert run.skipped_share == pytest.approx(schedule.skipped_share)
    assert run.calls == schedule.calls()
    assert run.realised == list(schedule.computed)
    assert capsys.readouterr().out == f"{run.calls} {run.skipped_share}\n"


def test_the_kinds_of_sites(pipe: Any, request: pytest.FixtureRequest) -> None:
    kinds = KINDS[request.node.callspec.params["pipe"]]
    blocks = len(pipe.transformer.transformer_blocks)
    expected = [f"blocks.{block}.{kind}" for block in range(blocks) for kind in kinds]
    assert [site.name for site in find_sites(pipe.transformer)] == expected


def test_calibration_sees_the_evaluations_and_changes_nothing(pipe: Any) -> None:
    before = sample(pipe, batch=2)
    outputs: list[Tensor] = []
    curves = calibrate(pipe.transformer, lambda: outputs.append(sample(pipe, batch=2)))
    sites = find_sites(pipe.transformer)
    assert curves.l1_diff.shape == (2, len(sites), STEPS, 3)
    assert [site.name for site in curves.trajectory.sites] == [site.name for site in sites]
    assert all(site.macs > 0 for site in curves.trajectory.sites)
    assert curves.per_sample()[:, :, 1:, 0].min() > 0
    assert torch.equal(outputs[0], before)
    assert torch.equal(sample(pipe, batch=2), before)
    assert own_forwards(pipe) == []


def test_computing_everything_gives_the_same_bits(pipe: Any) -> None:
    everything = Schedule.steps(find_sites(pipe.transformer), [True] * STEPS, {"method": "none"})
    before = sample(pipe)
    with cached(pipe.transformer, everything) as run:
        assert torch.equal(sample(pipe), before)
    assert run.skipped_share == 0
    assert torch.equal(sample(pipe), before)


def test_reuse_is_what_hooks_on_the_branches_would_do(pipe: Any) -> None:
    before = sample(pipe)
    sites = find_sites(pipe.transformer)
    alone = [
        [[e % 2 == 0 or j != i for j in range(len(sites))] for e in range(STEPS)] for i in range(len(sites))
    ]
    for rows in (*alone, every_second(pipe).computed):
        schedule = Schedule.of(sites, rows)
        with reused_by_hooks(pipe, schedule):
            expected = sample(pipe)
        with cached(pipe.transformer, schedule) as run:
            torch.testing.assert_close(sample(pipe), expected, rtol=1e-4, atol=1e-4)
        assert run.calls == schedule.calls()
        assert (expected - before).abs().max() > 0.002  # twenty times what the comparison forgives


@pytest.mark.parametrize("predictor", ["reuse", "taylor1"])
def test_a_second_call_starts_clean(pipe: Any, predictor: str) -> None:
    with cached(pipe.transformer, every_second(pipe), predictor=predictor):
        fresh = sample(pipe)
    with cached(pipe.transformer, every_second(pipe), predictor=predictor) as run:
        assert torch.equal(sample(pipe), fresh)
        assert torch.equal(sample(pipe), fresh)
    assert set(run.calls.values()) == {2 * STEPS // 2}


def test_another_batch_size_in_a_second_call(pipe: Any) -> None:
    with cached(pipe.transformer, every_second(pipe)):
        three = sample(pipe, batch=3)
    with cached(pipe.transformer, every_second(pipe)) as run:
        sample(pipe, batch=1)
        assert torch.equal(sample(pipe, batch=3), three)
    assert run.skipped_share == 0.5


def test_an_exception_restores_the_forwards(pipe: Any) -> None:
    before = sample(pipe)
    with pytest.raises(Stopped), failing_at(pipe, 6), cached(pipe.transformer, every_second(pipe)):
        assert own_forwards(pipe) != []
        sample(pipe)
    assert own_forwards(pipe) == []
    assert torch.equal(sample(pipe), before)
    with cached(pipe.transformer, every_second(pipe)) as run:
        sample(pipe)
    assert run.skipped_share == 0.5


@pytest.mark.parametrize("forward", [1, 6, STEPS])
def test_a_call_after_a_caught_exception_is_a_fresh_one(pipe: Any, forward: int) -> None:
    with cached(pipe.transformer, every_second(pipe)):
        fresh = sample(pipe)
    with cached(pipe.transformer, every_second(pipe)):
        with pytest.raises(Stopped), failing_at(pipe, forward):
            sample(pipe)
        assert torch.equal(sample(pipe), fresh)


def test_an_exception_in_calibration_restores_the_forwards(pipe: Any) -> None:
    before = sample(pipe)
    with pytest.raises(Stopped), failing_at(pipe, 6):
        calibrate(pipe.transformer, lambda: sample(pipe))
    assert own_forwards(pipe) == []
    assert torch.equal(sample(pipe), before)


def test_a_run_cut_short_raises_on_exit(pipe: Any) -> None:
    with pytest.raises(ValueError, match=r"\b7\b.*\b12\b"), cached(pipe.transformer, every_second(pipe)):
        sample(pipe, steps=7)
    assert own_forwards(pipe) == []


def test_a_run_cut_short_raises_at_the_next_start(pipe: Any) -> None:
    schedule = every_second(pipe)
    with cached(pipe.transformer, schedule) as run:
        sample(pipe, steps=7)
        before = run.calls
        with pytest.raises(ValueError, match=r"\b7\b.*\b12\b"):
            sample(pipe)
        assert run.calls == before  # nothing was computed
        sample(pipe)


def test_a_schedule_that_is_too_short_raises(pipe: Any) -> None:
    with pytest.raises(ValueError, match=r"\b13\b.*\b12\b"), cached(pipe.transformer, every_second(pipe)):
        sample(pipe, steps=20)
    assert own_forwards(pipe) == []


def test_a_schedule_of_another_length_raises_before_anything_runs(pipe: Any) -> None:
    with (
        pytest.raises(ValueError, match=r"\b12\b.*\b20\b"),
        cached(pipe.transformer, every_second(pipe), evals=20),
    ):
        pytest.fail("the context was entered")


def test_a_schedule_of_another_model_raises() -> None:
    dit: Any = tiny_dit_pipeline()
    schedule = every_second(tiny_pixart_pipeline())
    with pytest.raises(ValueError, match="cross_attn"), cached(dit.transformer, schedule):
        pytest.fail("the context was entered")
