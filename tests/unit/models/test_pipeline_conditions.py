"""`model=pipeline` under offloading, an adapter, bfloat16 and torch.compile: it skips, and restores the same bits."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.models.pipeline.model import Pipeline
from smoothbench.sampling.loop import latents, silent
from smoothbench.solvers.pipeline_scheduler import PipelineScheduler
from tests.support.saved_pipelines import FAMILIES, PROMPTS, built
from tests.support.saved_pipelines.conditions import hook_every_module, save_adapter

CPU, STEPS = torch.device("cpu"), 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny FLUX, and an adapter of it in lora.safetensors; not to be written to."""
    folder = tmp_path_factory.mktemp("flux")
    pipe = built(FAMILIES["FLUX"])
    pipe.save_pretrained(folder)
    save_adapter(pipe, folder)
    return folder


def model(folder: Path, **more: Any) -> Pipeline:
    settings = {"prompts": list(PROMPTS), "arguments": FAMILIES["FLUX"].arguments, "dtype": "float32"}
    return Pipeline(str(folder), CPU, **{**settings, **more})


def follows_a_schedule(pipeline: Pipeline) -> Tensor:
    """Check that half of the branches are left out, for two sizes of batches; return the uncached latents."""
    timed = pipeline.at(PipelineScheduler(STEPS))
    uncached = {count: latents(pipeline, timed, range(count), silent) for count in (2, 1)}
    sites = find_sites(pipeline.denoiser)
    schedule = Schedule.steps(sites, [e % 2 == 0 for e in range(STEPS)], {"method": "alternating"})
    for count, before in uncached.items():
        with cached(pipeline.denoiser, schedule, coordinates=timed.coordinates) as run:
            reused = latents(pipeline, timed, range(count), run.step)
        assert set(run.calls.values()) == {STEPS // 2}
        assert reused.isfinite().all() and not torch.equal(reused, before)
        assert torch.equal(latents(pipeline, timed, range(count), silent), before)
    return uncached[2]


@pytest.mark.parametrize("offload", ["none", "model", "group"])
def test_offloading_changes_no_bit(offload: str, folder: Path) -> None:
    plain = latents(model(folder), PipelineScheduler(STEPS), range(2), silent)
    assert torch.equal(follows_a_schedule(model(folder, offload=offload)), plain)


def test_modules_that_are_moved_one_by_one(folder: Path) -> None:
    plain, offloaded = latents(model(folder), PipelineScheduler(STEPS), range(2), silent), model(folder)
    hook_every_module(offloaded.denoiser)
    assert torch.equal(follows_a_schedule(offloaded), plain)


def test_an_adapter_changes_samples_and_identity(folder: Path) -> None:
    adapted = model(folder, lora=str(folder / "lora.safetensors"))
    plain = latents(model(folder), PipelineScheduler(STEPS), range(2), silent)
    assert not torch.allclose(follows_a_schedule(adapted), plain)
    assert adapted.identity["lora_sha256"]


def test_half_precision(folder: Path) -> None:
    half = model(folder, dtype="bfloat16")
    assert next(half.denoiser.parameters()).dtype == torch.bfloat16
    follows_a_schedule(half)


def test_compiled_samples_and_seconds_are_those_of_another_point(folder: Path) -> None:
    """They round otherwise; the ids of what is not compiled stay as they were."""
    eager, compiled = model(folder).identity, model(folder, compile=True).identity
    assert compiled == {**eager, "compile": True} and "compile" not in eager


@pytest.mark.filterwarnings("ignore:.*ompile")
def test_a_compiled_denoiser(folder: Path) -> None:
    compiled = model(folder, compile=True)
    assert compiled.denoiser._compiled_call_impl is not None
    with torch.compiler.set_stance("force_eager"):
        follows_a_schedule(compiled)
