"""Offloading moves weights and replaces forwards, also at the end of each pipeline call."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module, attach_align_device_hook
from diffusers.hooks import apply_group_offloading
from torch import Tensor

from smoothbench.caching import Schedule, cached, calibrate, find_sites
from smoothbench.caching.compiled import Compiled
from smoothbench.caching.hooks import StandIn
from tests.support.tiny_pipelines import call_arguments, tiny_dit_pipeline, tiny_pixart_pipeline

pytestmark = pytest.mark.slow

STEPS = 8


def model_offload(pipe: Any) -> None:
    pipe.enable_model_cpu_offload(device="cpu")


def sequential_offload(pipe: Any) -> None:
    # what enable_sequential_cpu_offload puts around every module; that itself wants an accelerator
    cpu = torch.device("cpu")
    attach_align_device_hook(pipe.transformer, execution_device=cpu, offload=False)
    add_hook_to_module(pipe.transformer, AlignDevicesHook(cpu, io_same_device=True), append=True)


def group_offload(pipe: Any) -> None:
    apply_group_offloading(pipe.transformer, torch.device("cpu"), offload_type="leaf_level")


def block_offload(pipe: Any) -> None:
    apply_group_offloading(
        pipe.transformer, torch.device("cpu"), offload_type="block_level", num_blocks_per_group=1
    )


OFFLOADS = [model_offload, sequential_offload, group_offload, block_offload]
Build = Callable[[], Any]


def image(pipe: Any, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.as_tensor(pipe(**call_arguments(pipe), num_inference_steps=STEPS, generator=generator)[0])


def every_second(pipe: Any, level: str = "branch") -> Schedule:
    return Schedule.steps(find_sites(pipe.transformer, level), [e % 2 == 0 for e in range(STEPS)])


@pytest.mark.parametrize("level", ["branch", "span", "denoiser"])
@pytest.mark.parametrize("build", [tiny_dit_pipeline, tiny_pixart_pipeline])
@pytest.mark.parametrize("offload", OFFLOADS)
def test_several_calls_in_one_context(offload: Callable[[Any], None], build: Build, level: str) -> None:
    pipe = build()
    with cached(pipe.transformer, every_second(pipe, level)):
        expected = [image(pipe, seed) for seed in (1, 2)]
    offload(pipe)
    with cached(pipe.transformer, every_second(pipe, level)) as run:
        images = [image(pipe, seed) for seed in (1, 2)]
    assert all(torch.equal(a, b) for a, b in zip(images, expected, strict=True))
    assert run.forwards == 2 * STEPS and run.calls == dict.fromkeys(run.calls, STEPS)


@pytest.mark.parametrize("offload", OFFLOADS)
def test_calibration_keeps_its_runs_apart(offload: Callable[[Any], None]) -> None:
    pipe = tiny_dit_pipeline()
    expected = calibrate(pipe.transformer, lambda: [image(pipe, 1), image(pipe, 2)])
    offload(pipe)
    curves = calibrate(pipe.transformer, lambda: [image(pipe, 1), image(pipe, 2)])
    assert torch.equal(curves.l1, expected.l1) and len(curves.l1) == 2
    assert curves.trajectory == expected.trajectory


@pytest.mark.parametrize("offload", OFFLOADS)
def test_after_the_context_the_model_is_as_it_was(offload: Callable[[Any], None]) -> None:
    pipe = tiny_dit_pipeline()
    before = image(pipe, 1)
    offload(pipe)
    with cached(pipe.transformer, every_second(pipe)):
        image(pipe, 1)
    assert torch.equal(image(pipe, 1), before)
    assert not any(isinstance(vars(m).get("forward"), StandIn) for m in pipe.transformer.modules())


def test_offloading_that_begins_inside_the_context() -> None:
    pipe = tiny_dit_pipeline()
    with cached(pipe.transformer, every_second(pipe)):
        expected = image(pipe, 1), image(pipe, 2)
    before = image(pipe, 3)
    with cached(pipe.transformer, every_second(pipe)):
        first = image(pipe, 1)
        pipe.enable_model_cpu_offload(device="cpu")
        assert torch.equal(first, expected[0]) and torch.equal(image(pipe, 2), expected[1])
    assert torch.equal(image(pipe, 3), before)


@pytest.mark.slow
def test_a_compiled_schedule_refuses_branches_outside_its_graphs() -> None:
    pipe = tiny_dit_pipeline()
    graphs = Compiled(pipe.transformer, backend="eager")
    with pytest.raises(ValueError, match="self_attn ran outside"), graphs.following(every_second(pipe)):
        image(pipe, 1)
        del vars(pipe.transformer)["forward"]  # as whoever takes its hooks away
        image(pipe, 2)
