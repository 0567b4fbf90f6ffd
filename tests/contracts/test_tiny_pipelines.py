"""The tiny pipelines are what other tests take them for: alive in every branch, and reproducible."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from tests.support.tiny_pipelines import (
    call_arguments,
    tiny_dit_pipeline,
    tiny_pixart_pipeline,
    tiny_stable_audio_pipeline,
)

pytestmark = pytest.mark.slow

Build = Callable[[], DiffusionPipeline]
BUILDERS = (tiny_dit_pipeline, tiny_pixart_pipeline, tiny_stable_audio_pipeline)
SHAPES = ((16, 16, 3), (3, 16, 16), (2, 192))
STEPS = 12


def sample(pipe: Any, batch: int = 1, **changes: Any) -> Tensor:
    arguments = call_arguments(pipe, batch) | {"num_inference_steps": STEPS} | changes
    return torch.as_tensor(pipe(**arguments, generator=torch.Generator().manual_seed(5))[0])


def branches(pipe: Any) -> list[nn.Module]:
    names = ("attn1", "attn2", "ff")
    modules = [getattr(block, name, None) for block in pipe.transformer.transformer_blocks for name in names]
    return [branch for branch in modules if branch is not None]


@pytest.mark.parametrize(("build", "shape"), list(zip(BUILDERS, SHAPES, strict=True)))
def test_samples_are_finite_and_differ(build: Build, shape: tuple[int, ...]) -> None:
    output = sample(build(), batch=2)
    assert output.shape == (2, *shape)
    assert output.isfinite().all()
    assert output.std() > 0.05
    assert (output[0] - output[1]).abs().mean() > 0.05


@pytest.mark.parametrize("build", BUILDERS)
def test_a_generator_makes_it_deterministic_across_builds(build: Build) -> None:
    pipe = build()
    first = sample(pipe)
    assert torch.equal(first, sample(pipe))
    assert torch.equal(first, sample(build()))


@pytest.mark.parametrize("build", BUILDERS)
def test_building_leaves_the_global_random_state(build: Build) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    build()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("build", "other"),
    [
        (tiny_dit_pipeline, {"class_labels": [3]}),
        (tiny_pixart_pipeline, {"prompt": ["a red car"]}),
        (tiny_stable_audio_pipeline, {"prompt": ["a red car"]}),
    ],
)
def test_the_condition_matters(build: Build, other: dict[str, Any]) -> None:
    pipe = build()
    assert (sample(pipe) - sample(pipe, **other)).abs().mean() > 0.01


@pytest.mark.parametrize("build", BUILDERS)
def test_every_branch_matters_and_changes_over_the_steps(build: Build) -> None:
    pipe = build()
    intact = sample(pipe)
    for branch in branches(pipe):
        seen: list[Tensor] = []
        with branch.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output)):
            sample(pipe)
        assert len(seen) == STEPS
        changes = [(new - old).abs().sum() / old.abs().sum() for old, new in pairwise(seen)]
        assert all(change > 0.005 for change in changes)
        assert max(changes) > 0.02
        with branch.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output)):
            assert (sample(pipe) - intact).abs().mean() > 1e-3


@pytest.mark.parametrize("build", BUILDERS)
def test_building_and_sampling_are_quick(build: Build) -> None:
    start = time.perf_counter()
    sample(build())
    assert time.perf_counter() - start < 4


def test_an_unknown_pipeline_is_named() -> None:
    unknown: Any = None
    with pytest.raises(ValueError, match="NoneType"):
        call_arguments(unknown)
