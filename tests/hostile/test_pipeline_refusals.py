"""What `model=pipeline` refuses: one line that names the thing and the way out, and nothing is written."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from smoothbench.models.pipeline.arguments import Call
from smoothbench.models.pipeline.prompt_lists import prompts_from
from tests.support.command_line import refusal_of
from tests.support.hub_cache import in_cache
from tests.support.saved_pipelines import FAMILIES, built

REVISION = "0123456789abcdef0123456789abcdef01234567"
SMALL = "model.arguments={use_resolution_binning: false, clean_caption: false, max_sequence_length: 24}"
Refuse = Callable[..., str]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Saved tiny pipelines by family, not to be written to."""
    folder = tmp_path_factory.mktemp("pipelines")
    for name in ("PixArt", "Lumina2"):
        built(FAMILIES[name]).save_pretrained(folder / name)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Refuse:
    """Runs the command on a pipeline with more arguments; returns its line, and sees that it left nothing."""

    def run(repo: Path | str, *arguments: str) -> str:
        given = SMALL if not any("model.arguments" in argument for argument in arguments) else "num_samples=2"
        asked = ("model=pipeline", f"model.repo={repo}", "device=cpu", "solver.steps=4", given)
        prompts = (
            () if any("model.prompts" in argument for argument in arguments) else ("model.prompts=[a car]",)
        )
        line = refusal_of([*asked, *prompts, *arguments], tmp_path, monkeypatch, capfd)
        assert not list(tmp_path.glob("results/**/*.json"))
        return line

    return run


def test_a_pipeline_that_is_not_here(refusal: Refuse, tmp_path: Path) -> None:
    assert "model.repo=nowhere: no such folder, and no repository OWNER/NAME" in refusal("nowhere")
    line = refusal("black-forest-labs/FLUX.1-dev")
    assert (
        "hf download black-forest-labs/FLUX.1-dev" in line and "gated" in line and "model.repo=FOLDER" in line
    )
    assert "model.repo must name a pipeline" in refusal("null")
    (tmp_path / "empty").mkdir()
    assert "has no model_index.json" in refusal(tmp_path / "empty")


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        (
            "transformer/diffusion_pytorch_model.safetensors",
            "transformer has no diffusion_pytorch_model.safetensors",
        ),
        ("text_encoder/model.safetensors", "text_encoder has no"),
        ("tokenizer", "tokenizer is not here, but model_index.json names it"),
    ],
)
def test_a_half_downloaded_pipeline(
    lost: str, named: str, folders: Mapping[str, Path], refusal: Refuse, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["PixArt"], tmp_path / "half"))
    place = folder / lost
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    line = refusal(folder)
    assert named in line and "half-downloaded?" in line


def test_a_half_downloaded_repository(
    folders: Mapping[str, Path], refusal: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = in_cache(tmp_path / "home", folders["PixArt"], "some/pixart", REVISION)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "home/hub"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "home/hub"))
    (snapshot / "vae/diffusion_pytorch_model.safetensors").unlink()
    assert "vae has no diffusion_pytorch_model.safetensors" in refusal("some/pixart")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"_class_name": "NextYearPipeline"}, "knows no class 'NextYearPipeline'"),
        ({"transformer": ["diffusers", "NextYearTransformer"]}, "knows no class 'NextYearTransformer'"),
        ({"_class_name": "AutoencoderKL"}, "AutoencoderKL is no pipeline: give a pipeline's folder"),
        ({"tokenizer": ["no_such_library", "Words"]}, "no_such_library, which cannot be imported"),
    ],
)
def test_a_class_that_diffusers_does_not_know(
    changes: dict[str, Any], named: str, folders: Mapping[str, Path], refusal: Refuse, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["PixArt"], tmp_path / "changed"))
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | changes))
    assert named in refusal(folder)


@pytest.mark.parametrize("component", ["transformer", "text_encoder"])
def test_weights_that_no_file_has(
    component: str, folders: Mapping[str, Path], refusal: Refuse, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["PixArt"], tmp_path / "deeper"))
    config = folder / component / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_layers": 3}))
    line = refusal(folder)
    assert re.search(rf"deeper/{component}: \d+ weights of its config.json are not in its files", line)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        (
            "model.arguments={hight: 16}",
            "model.arguments.hight: PixArtAlphaPipeline takes no such argument: height?",
        ),
        (
            "model.arguments={num_inference_steps: 9}",
            "model.arguments.num_inference_steps: set solver.steps instead",
        ),
        ("solver.scheduler=DDIMSchedular", "has no such scheduler: DDIMScheduler?"),
        ("solver.scheduler=AutoencoderKL", "solver.scheduler=AutoencoderKL: this class is no scheduler"),
        (
            "solver.config={shifted: 3}",
            "solver.config.shifted: DPMSolverMultistepScheduler has no such setting",
        ),
        ("solver.config=fast", "solver.config must be names with values"),
        ("model.arguments=[1]", "model.arguments must be names with values"),
        (
            "model.arguments={guidance_scale: high}",
            "model.arguments.guidance_scale must be a number, not 'high'",
        ),
        (
            "model.offload=sequential",
            "model.offload=sequential moves modules to a GPU, and the device is the CPU",
        ),
        ("solver.steps=0", "solver.steps must be a whole number from 1"),
        ("model.offload=disk", "model.offload must be one of none, model, sequential, group"),
        ("model.pipeline=FluxImg2ImPipeline", "no such pipeline: FluxImg2ImgPipeline?"),
        ("model.pipeline=DDIMScheduler", "model.pipeline=DDIMScheduler: diffusers"),
        ("model.component=unet", "model.component=unet: the pipeline has"),
        ("model.lora=nothing.safetensors", "model.lora=nothing.safetensors: no such file"),
        ("model.prompts=nothing.txt", "model.prompts=nothing.txt: no such file"),
        ("model.prompts=[a cat, '']", "model.prompts[1] must be a text"),
    ],
)
def test_settings_that_no_run_could_have(
    override: str, named: str, folders: Mapping[str, Path], refusal: Refuse
) -> None:
    assert named in refusal(folders["PixArt"], override)


def test_another_solver_has_no_place_in_a_pipeline(folders: Mapping[str, Path], refusal: Refuse) -> None:
    assert "leave solver=... out for the model's own" in refusal(folders["PixArt"], "solver=ddim")


def test_what_the_pipeline_itself_refuses(folders: Mapping[str, Path], refusal: Refuse) -> None:
    line = refusal(folders["PixArt"], "model.arguments={height: 17, clean_caption: false}")
    assert "PixArtAlphaPipeline cannot be called so" in line and "look at model.arguments" in line


def test_guidance_for_some_of_the_steps_is_refused(folders: Mapping[str, Path], refusal: Refuse) -> None:
    arguments = "{height: 64, width: 64, max_sequence_length: 24, cfg_trunc_ratio: 0.5}"
    line = refusal(folders["Lumina2"], f"model.arguments={arguments}")
    assert "forwards in evaluation" in line and "guidance holds for all steps" in line


def test_prompts_are_read_as_they_were_written(tmp_path: Path) -> None:
    text = tmp_path / "prompts.txt"
    text.write_bytes('\ufeffa "red" car, parked\r\n\r\n  two owls  \r\na "red" car, parked\r\n'.encode())
    read = prompts_from(str(text))  # the prompts of a text calibrate together, at the end of the list
    assert read.texts == ("two owls", 'a "red" car, parked', 'a "red" car, parked') and read.count == 1
    table = tmp_path / "prompts.csv"
    table.write_bytes('\ufeffprompt,seconds\r\n"a ""red"" car, parked",3\r\ntwo owls,4\r\n'.encode())
    assert prompts_from(str(table)).texts == ('a "red" car, parked', "two owls")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("prompt\na cat\na cat\n", "line 3: prompt a cat is there twice"),
        ("id,prompt\n1,a cat\n2,\n", "line 3: an empty prompt"),
        ("prompt\na cat, asleep\n", "line 2: has more cells than the header's 1"),
        ("words\na cat\n", "line 1: names no column prompt, caption, text"),
        ('prompt\n"a cat\n', "line 1: no CSV"),
        ("prompt\n", "no prompt is in it"),
        ("a" * 200_000, "line 1: no CSV (field larger than field limit"),
        ("prompt\ncaf\udce9\n", "is not UTF-8: save it as UTF-8"),
    ],
)
def test_tables_of_prompts_are_refused_by_line(content: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match="prompts") as refused:
        prompts_from(str(tmp_path / "prompts.csv"))
    assert named in str(refused.value)


def test_a_prompt_in_place_of_a_file_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model.prompts=a cat.*: no such file: give a text or CSV file"):
        prompts_from("a cat, " * 60)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"image": "nothing.png"}, "model.arguments.image=nothing.png: no such file"),
        ({"image": "words.png"}, "image=words.png: is no picture that can be read"),
        ({"image": "https://host/a.png?raw"}, "image=https://host/a.png?raw: must be a file .png"),
        ({"image": ["grey.png", "words.png"]}, "image=words.png: is no picture"),
        (
            {"video": "clip.mp4"},
            "video=clip.mp4: must be a file .webp, .gif, or a folder of pictures (ffmpeg",
        ),
        ({"video": "empty"}, "model.arguments.video=empty: no .png"),
        ({"audio": "a.wav"}, "model.arguments.audio=a.wav: sound files are no input"),
    ],
)
def test_pictures_and_clips_that_cannot_be_read_are_refused(
    arguments: dict[str, Any], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (4, 4)).save("grey.png")
    (tmp_path / "words.png").write_text("no picture")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=re.escape(named)) as refused:
        Call(_Takes, arguments)
    assert "\n" not in str(refused.value)


class _Takes:
    """A pipeline's signature."""

    def __call__(self, prompt: str, image: Any, video: Any, audio: Any, generator: Any) -> None: ...
