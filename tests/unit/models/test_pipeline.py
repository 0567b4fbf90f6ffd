"""`model=pipeline`: samples, identities and costs are those of the pipeline as diffusers runs it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.models.pipeline.model import Pipeline
from smoothbench.sampling.loop import decodable, latents, silent
from smoothbench.solvers.pipeline_scheduler import PipelineScheduler
from tests.support.saved_pipelines import FAMILIES, PROMPTS, built

CPU = torch.device("cpu")
STEPS = 6


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Saved tiny pipelines by family, not to be written to."""
    folder = tmp_path_factory.mktemp("pipelines")
    for name in ("FLUX", "SD3", "Wan2.2", "StableDiffusion"):
        built(FAMILIES[name]).save_pretrained(folder / name)
    return {path.name: path for path in folder.iterdir()}


def model(folder: Path, **more: Any) -> Pipeline:
    settings = {"prompts": list(PROMPTS), "arguments": FAMILIES[folder.name].arguments, "dtype": "float32"}
    return Pipeline(str(folder), CPU, **{**settings, **more})


def by_diffusers(folder: Path, pipe: Any, seeds: range, **more: Any) -> Tensor:
    """The samples of a pipeline that diffusers calls by itself."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    prompts = [PROMPTS[seed % (len(PROMPTS) - 1)] for seed in seeds]  # the last tenth calibrates
    arguments = {**FAMILIES[folder.name].arguments, "num_inference_steps": STEPS, "output_type": "np", **more}
    return torch.as_tensor(pipe(prompt=prompts, generator=generators, **arguments)[0])


@pytest.mark.parametrize("name", ["FLUX", "SD3", "Wan2.2"])
def test_samples_are_those_of_diffusers(name: str, folders: Mapping[str, Path]) -> None:
    expected = by_diffusers(folders[name], built(FAMILIES[name]), range(2))
    ours = decodable(model(folders[name]), PipelineScheduler(STEPS), [0, 1], silent)
    assert torch.equal(ours, expected.movedim(-1, -3))


@pytest.mark.parametrize("name", ["FLUX", "SD3"])
def test_a_sample_does_not_depend_on_its_batch(name: str, folders: Mapping[str, Path]) -> None:
    pipeline, solver = model(folders[name]), PipelineScheduler(STEPS)
    together = latents(pipeline, solver, [0, 1, 2], silent)
    for seed in range(3):
        torch.testing.assert_close(
            latents(pipeline, solver, [seed], silent)[0], together[seed], rtol=0, atol=1e-4
        )


def test_prompts_are_encoded_once(folders: Mapping[str, Path]) -> None:
    pipeline, solver = model(folders["FLUX"]), PipelineScheduler(STEPS)
    first = latents(pipeline, solver, [0, 1], silent)
    encoded = pipeline.loaded.pipe.encode_prompt
    calls = encoded.calls
    assert torch.equal(latents(pipeline, solver, [0, 1], silent), first)
    assert encoded.calls == calls


@pytest.mark.parametrize("name", ["FLUX", "Wan2.2"])
def test_the_engine_follows_the_loop_by_itself(name: str, folders: Mapping[str, Path]) -> None:
    pipeline, solver = model(folders[name]), PipelineScheduler(STEPS)
    timed = pipeline.at(solver)
    before = latents(pipeline, timed, [0, 1], silent)
    sites = find_sites(pipeline.denoiser)
    computed = [e % 2 == 0 or e in timed.restarts for e in range(STEPS)]
    schedule = Schedule.steps(sites, computed, {"method": "alternating"})
    with cached(pipeline.denoiser, schedule, coordinates=timed.coordinates) as run:
        reused = latents(pipeline, timed, [0, 1], run.step)
    assert set(run.calls.values()) == {sum(computed) * pipeline.forwards}
    assert not torch.equal(reused, before)
    assert torch.equal(latents(pipeline, timed, [0, 1], silent), before)


def test_two_networks_switch_where_the_pipeline_says(folders: Mapping[str, Path]) -> None:
    both = model(folders["Wan2.2"])
    timed = both.at(PipelineScheduler(STEPS))
    (boundary,) = timed.restarts
    low = model(folders["Wan2.2"], component="transformer_2")
    alone = low.at(PipelineScheduler(STEPS))
    assert alone.coordinates == timed.coordinates[boundary:] and not alone.restarts
    every = latents(low, alone, [3], silent)
    assert torch.equal(every, latents(both, timed, [3], silent))
    with pytest.raises(ValueError, match="component"):
        _ = model(folders["Wan2.2"], offload="model").denoiser


@pytest.mark.parametrize(
    ("scheduler", "evaluations"),
    [("HeunDiscreteScheduler", 2 * STEPS - 1), ("DPMSolverMultistepScheduler", STEPS)],
)
def test_another_scheduler_by_its_name(scheduler: str, evaluations: int, folders: Mapping[str, Path]) -> None:
    pipeline = model(folders["StableDiffusion"])
    own, other = PipelineScheduler(STEPS), PipelineScheduler(STEPS, scheduler)
    timed = pipeline.at(other)
    assert len(timed.coordinates) == evaluations
    assert list(timed.coordinates) == sorted(timed.coordinates, reverse=True)
    assert not torch.equal(latents(pipeline, timed, [0], silent), latents(pipeline, own, [0], silent))
    assert type(pipeline.loaded.pipe.scheduler).__name__ != scheduler


@pytest.mark.parametrize(
    "change", [{"dtype": "bfloat16"}, {"arguments": {"guidance_scale": 2.0}}, {"prompts": "video"}]
)
def test_what_decides_samples_is_in_the_identity(change: Any, folders: Mapping[str, Path]) -> None:
    assert model(folders["FLUX"]).identity != model(folders["FLUX"], **change).identity
    assert model(folders["FLUX"]).identity == model(folders["FLUX"], offload="model").identity
