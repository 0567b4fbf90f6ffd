"""`model=pipeline`: samples, identities and costs are those of the pipeline as diffusers runs it."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image
from torch import Tensor

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.models.pipeline.input_files import digest, loaded
from smoothbench.models.pipeline.model import Pipeline
from smoothbench.models.pipeline.own_loop import watching_loop
from smoothbench.sampling.loop import decodable, latents, silent
from smoothbench.solvers.pipeline_scheduler import PipelineScheduler
from smoothbench.storage.files import sha256_of
from tests.support.saved_pipelines import FAMILIES, PROMPTS, built

CPU = torch.device("cpu")
STEPS = 6


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Saved tiny pipelines by family, not to be written to."""
    folder = tmp_path_factory.mktemp("pipelines")
    for name in ("FLUX", "SD3", "Wan2.2", "StableDiffusion", "Latte"):
        built(FAMILIES[name]).save_pretrained(folder / name)
    return {path.name: path for path in folder.iterdir()}


def test_pictures_are_upright_and_frames_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
    assert [frame.getpixel((0, 0))[0] for frame in loaded("video", str(tmp_path))] == [1, 2, 10]
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: the camera was held on its side
    Image.new("RGB", (8, 4)).save(tmp_path / "photo.jpg", exif=turned)
    assert loaded("image", str(tmp_path / "photo.jpg")).size == (4, 8)


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


@pytest.mark.parametrize(
    ("scheduler", "more"),
    [("EulerAncestralDiscreteScheduler", {}), ("DDPMScheduler", {}), ("DDIMScheduler", {"eta": 1.0})],
)
def test_fresh_noise_follows_from_the_seeds(
    scheduler: str, more: Mapping[str, Any], folders: Mapping[str, Path]
) -> None:
    name = "StableDiffusion"
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folders[name])
    pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
    expected = by_diffusers(folders[name], pipe, range(2), **more)
    pipeline = model(folders[name], arguments={**FAMILIES[name].arguments, **more})
    solver = PipelineScheduler(STEPS, scheduler)
    assert torch.equal(decodable(pipeline, solver, [0, 1], silent), expected.movedim(-1, -3))


def test_noise_that_no_seed_decides_is_refused(folders: Mapping[str, Path]) -> None:
    """The FLUX pipeline passes no generator to its scheduler, which may draw noise."""
    solver = PipelineScheduler(STEPS, config={"stochastic_sampling": True})
    with pytest.raises(ValueError, match="FluxPipeline draws noise from torch's global generator"):
        model(folders["FLUX"]).at(solver)


def test_a_copy_of_the_scheduler_steps_by_itself() -> None:
    """Pipelines that denoise two streams make one."""
    first = diffusers.EulerDiscreteScheduler()
    first.set_timesteps(4)
    x, timestep = torch.ones(1, 4), first.timesteps[0]
    with watching_loop(torch.nn.Identity(), first, lambda *_: None, lambda timestep: None):
        second = copy.deepcopy(first)
        first.scale_model_input(x, timestep), second.scale_model_input(x, timestep)
        second.step(x, timestep, x)
        assert (first.step_index, second.step_index) == (0, 1)


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


def test_an_image_to_image_run_has_the_evaluations_of_its_strength(folders: Mapping[str, Path]) -> None:
    """Another class of the same components; the picture's file is loaded, and its content is in the identity."""
    name, picture = "FLUX", folders["FLUX"] / "start.png"
    ramp = torch.arange(16 * 16 * 3, dtype=torch.uint8).view(16, 16, 3)
    Image.fromarray(ramp.numpy()).save(picture)
    arguments = {**FAMILIES[name].arguments, "strength": 0.5}
    more = {"pipeline": "FluxImg2ImgPipeline", "arguments": {**arguments, "image": str(picture)}}
    pipeline = model(folders[name], **more)
    assert len(pipeline.at(PipelineScheduler(STEPS)).coordinates) == STEPS // 2
    assert pipeline.one_by_one and pipeline.identity["arguments"]["image"] == sha256_of(picture)
    pipe = diffusers.FluxImg2ImgPipeline.from_pretrained(folders[name])
    pipe.set_progress_bar_config(disable=True)
    arguments |= {"num_inference_steps": STEPS, "output_type": "np", "image": Image.open(picture)}
    generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
    expected = [
        pipe(prompt=prompt, generator=generator, **arguments)[0]
        for prompt, generator in zip(PROMPTS, generators, strict=False)
    ]
    ours = decodable(pipeline, PipelineScheduler(STEPS), [0, 1], silent)
    assert torch.equal(ours, torch.cat(list(map(torch.as_tensor, expected))).movedim(-1, -3))


def test_latte_samples_one_by_one_unless_its_prompts_keep_their_padding(folders: Mapping[str, Path]) -> None:
    arguments = FAMILIES["Latte"].arguments
    alone, solver = model(folders["Latte"]), PipelineScheduler(STEPS)
    together = latents(alone, solver, [0, 1], silent)
    assert torch.equal(latents(alone, solver, [1], silent)[0], together[1])
    assert alone.one_by_one and alone.identity["one_by_one"]
    assert not model(folders["Latte"], arguments={**arguments, "mask_feature": False}).one_by_one
    batched = latents(model(folders["Latte"], one_by_one=False), solver, [0, 1], silent)
    assert not torch.allclose(batched, together, atol=1e-3)


def test_clips_are_lists_of_pictures(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), (level, 0, 0)) for level in (0, 80, 160)]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(frames):
        frame.save(tmp_path / "frames" / f"{number}.png")
    (tmp_path / "frames" / "notes.txt").write_text("no frame")
    for place in ("clip.gif", "frames"):
        read = loaded("video", str(tmp_path / place))
        assert [frame.getpixel((0, 0)) for frame in read] == [(0, 0, 0), (80, 0, 0), (160, 0, 0)]
    folder = str(tmp_path / "frames")
    before = digest(folder)
    frames[0].save(tmp_path / "frames" / "3.png")
    assert digest(folder) != before
