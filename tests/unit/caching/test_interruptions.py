"""What goes wrong inside a context leaves nothing behind: no half run, no stale run, no reference."""

import copy
import gc
import weakref
from typing import Any

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from torch import nn

from smoothbench.caching import Schedule, alpha_for, cached, calibrate, find_sites
from smoothbench.caching.hooks import StandIn
from tests.support.linear_denoiser import EVALS, Adapter, Denoiser, falls, sample
from tests.support.tiny_dit import TinyDiT, build_tiny, fora
from tests.support.tiny_pipelines import call_arguments, tiny_dit_pipeline


def interrupted_at(dit: TinyDiT, forward: int) -> Any:
    """A hook that interrupts the given forward in its last block, once."""
    seen: list[int] = []

    def interrupt(*_: Any) -> None:
        seen.append(1)
        if len(seen) == forward:
            raise KeyboardInterrupt

    return dit.denoiser.transformer_blocks[-1].register_forward_pre_hook(interrupt)


def test_an_interrupt_that_is_caught_ends_the_context_quietly(tiny: TinyDiT) -> None:
    with interrupted_at(tiny, 5), cached(tiny.denoiser, fora(tiny)), pytest.raises(KeyboardInterrupt):
        tiny.run()


def test_calibration_records_no_half_run(tiny: TinyDiT) -> None:
    def twice() -> None:
        tiny.run()
        with pytest.raises(KeyboardInterrupt):
            tiny.run()

    expected = calibrate(tiny.denoiser, tiny.run)
    with interrupted_at(tiny, tiny.evals + 5):
        assert calibrate(tiny.denoiser, twice).digest() == expected.digest()


def test_after_a_refused_forward_the_next_run_is_clean(tiny: TinyDiT) -> None:
    with cached(tiny.denoiser, fora(tiny)):
        expected = tiny.run()
    block = tiny.denoiser.transformer_blocks[1]
    with cached(tiny.denoiser, fora(tiny)):
        inner = block.forward
        block.forward = lambda x, *args, **kwargs: x
        with pytest.raises(ValueError, match="did not run in forward 1"):
            tiny.run()
        block.forward = inner
        assert torch.equal(tiny.run(), expected)


def test_a_pipeline_that_stopped_early_is_told_and_the_next_call_is_clean() -> None:
    model = Denoiser()
    schedule = Schedule.steps(find_sites(model), [e % 2 == 0 for e in range(EVALS)])

    def steps(count: int, callback: Any) -> None:
        for e in range(count):
            model(torch.full((1, 8), e + 1.0))
            callback(None, e, None, {})

    with cached(model, schedule) as run:
        steps(4, run.step_callback())
        with pytest.raises(ValueError, match="the run ended in evaluation 4"):
            run.step_callback()
        steps(EVALS, run.step_callback())
        assert run.forwards == 4 + EVALS


def test_a_forward_that_is_called_by_name_is_seen(tiny: TinyDiT) -> None:
    schedule, expected_curves = fora(tiny), calibrate(tiny.denoiser, tiny.run)
    with cached(tiny.denoiser, schedule):
        expected = tiny.run()
    by_name = copy.copy(tiny)
    by_name.denoiser = lambda *args, **kwargs: tiny.denoiser.forward(*args, **kwargs)  # type: ignore[assignment]
    with cached(tiny.denoiser, schedule) as run:
        assert torch.equal(by_name.run(), expected)
    assert run.forwards == tiny.evals
    curves = calibrate(tiny.denoiser, by_name.run)
    assert curves.digest() == expected_curves.digest() and curves.trajectory == expected_curves.trajectory


def test_costs_are_counted_also_where_offloading_begins_inside() -> None:
    pipe: Any = tiny_dit_pipeline()
    arguments = call_arguments(pipe) | {"num_inference_steps": 4}
    expected = calibrate(pipe.transformer, lambda: pipe(**arguments)).trajectory
    pipe.enable_model_cpu_offload(device="cpu")

    def run() -> None:
        pipe.enable_model_cpu_offload(device="cpu")
        pipe(**arguments)

    assert calibrate(pipe.transformer, run).trajectory == expected
    assert expected.rest_macs > 0 and all(site.macs > 0 for site in expected.sites)


@pytest.mark.slow
def test_branches_that_are_compiled_handles_are_intercepted() -> None:
    dit = build_tiny()
    schedule = fora(dit)
    with cached(dit.denoiser, schedule):
        expected = dit.run()
    for block in dit.denoiser.transformer_blocks:
        block.attn1 = torch.compile(block.attn1, backend="eager")
    with cached(dit.denoiser, schedule) as run:
        torch.testing.assert_close(dit.run(), expected)
    assert run.calls == schedule.calls()


def test_no_run_outlives_its_context(tiny: TinyDiT) -> None:
    branch, runs = tiny.denoiser.transformer_blocks[0].attn1, []
    for _ in range(3):
        with cached(tiny.denoiser, fora(tiny)) as run:
            add_hook_to_module(branch, ModelHook())
            tiny.run()
        remove_hook_from_module(branch)  # puts back what it found: our stand-in
        runs.append(weakref.ref(run))
        del run
    gc.collect()
    assert [seen() for seen in runs] == [None] * 3
    with cached(tiny.denoiser, fora(tiny)):
        tiny.run()
    assert not isinstance(vars(branch).get("forward"), StandIn), "the last context cleared what was left"


def test_contexts_of_a_model_and_of_what_holds_it_do_not_nest(tiny: TinyDiT) -> None:
    adapter = Adapter(tiny.denoiser)
    for outer, inner in ((tiny.denoiser, adapter), (adapter, tiny.denoiser)):
        with cached(outer, fora(tiny)):
            with pytest.raises(RuntimeError, match=f"this {type(inner).__name__} is already inside"):
                calibrate(inner, tiny.run)
            run_through(outer, tiny)


def run_through(model: nn.Module, dit: TinyDiT) -> None:
    through = copy.copy(dit)
    through.denoiser = model  # type: ignore[assignment]
    through.run()


def test_a_budget_out_of_reach_is_named_where_a_change_is_infinite() -> None:
    model, forwards = Denoiser(), list[int]()

    def vanish(module: nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
        forwards.append(1)
        return torch.zeros_like(output) if len(forwards) > EVALS // 2 else output

    model.blocks[0].ff = nn.Sequential(model.blocks[0].ff)
    model.blocks[0].ff[0].register_forward_hook(vanish)
    with pytest.warns(UserWarning, match="is 0 at some evaluations"):
        curves = calibrate(model, lambda: sample(model, falls))
    with pytest.raises(ValueError, match=r"no alpha costs at most 0\.0100"):
        alpha_for(curves, 0.01)
