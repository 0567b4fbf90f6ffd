"""StableAudioOpen: what is missing is said in one line, and so is everything that is here but wrong."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

from smoothbench.errors import UsageError
from smoothbench.models.base.prompts import Prompts
from smoothbench.sampling.loop import latents, silent
from tests.support.hub_cache import in_cache
from tests.support.latent_dits import SAFE, by_yaml, changes, refusal
from tests.support.stable_audio import SOLVER, published, stable_audio
from tests.support.tiny_pipelines import save_tiny_dit


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny pipeline, not to be written to."""
    path = tmp_path_factory.mktemp("published")
    published(path)
    return path


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def test_what_is_missing(folder: Path) -> None:
    assert "tiny has no prompts: model.prompts.file=FILE" in str(
        stable_audio(folder, prompts=Prompts(None)).unavailable_reason
    )
    assert "stage=cost" in str(stable_audio(folder, weights="random").unavailable_reason)
    random = stable_audio(folder, weights="random", prompts=Prompts(None))
    x = latents(random, SOLVER, [0, 1], silent)  # as latencies do
    assert x.shape == (2, 8, 24) and x.isfinite().all()
    elsewhere = stable_audio("some/one", prompts=Prompts(None))
    assert "(transformer) are not here: hf download some/one" in str(elsewhere.unavailable_reason)


def test_a_repository_in_the_cache(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, then with a part whose download was cut."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home/hub"))
    snapshot = in_cache(tmp_path / "home", whole, "some/one", "1" * 40)
    prompts = Prompts(str(whole / "prompts.txt"))
    model, direct = stable_audio("some/one", prompts=prompts), stable_audio(whole)
    assert model.unavailable_reason is None and model.identity == direct.identity
    assert torch.equal(latents(model, SOLVER, [0], silent), latents(direct, SOLVER, [0], silent))
    (snapshot / "text_encoder/model.safetensors").resolve().unlink()
    half = stable_audio("some/one", prompts=prompts)
    assert "weights of tiny (text_encoder) are not here: hf download some/one" in str(half.unavailable_reason)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder", "projection_model"])
def test_damaged_weights(folder: Path, part: str) -> None:
    path = next((folder / part).glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-40])
    model = stable_audio(folder)
    refusal(lambda: (model.denoiser, model.decoder, model.text), path, "download or save", "again")
    path.unlink()
    refusal(lambda: stable_audio(folder), folder / part, "half-downloaded")


def test_parts_of_another_model(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "transformer" / SAFE, folder / "vae" / SAFE)
    refusal(lambda: stable_audio(folder).decoder, folder / "vae" / SAFE, "another model")
    changes(folder, "vae", decoder_input_channels=64)
    refusal(lambda: stable_audio(folder), folder / "vae", "64 channels")
    changes(folder, "vae", decoder_input_channels=8)
    changes(folder, "text_encoder", d_model=64)
    refusal(lambda: stable_audio(folder), folder / "projection_model", "width 64")
    changes(folder, "text_encoder", d_model=32)
    save_tiny_dit(tmp_path / "dit")
    refusal(
        lambda: stable_audio(tmp_path / "dit", prompts=Prompts(None)), tmp_path / "dit", "no text_encoder/"
    )
    shutil.copytree(tmp_path / "dit/transformer", folder / "transformer", dirs_exist_ok=True)
    refusal(lambda: stable_audio(folder), "a DiTTransformer2DModel, not a StableAudioDiTModel", "model.path")


def test_a_tokenizer_that_is_none(folder: Path) -> None:
    (folder / "tokenizer/tokenizer.json").write_text("{")
    refusal(lambda: stable_audio(folder).text, folder / "tokenizer", "no tokenizer")
    (folder / "tokenizer/tokenizer.json").unlink()
    refusal(lambda: stable_audio(folder), folder / "tokenizer", "half-downloaded")
    shutil.rmtree(folder / "tokenizer")
    refusal(lambda: stable_audio(folder), folder, "no tokenizer/tokenizer_config.json")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"seconds_end": 600.0}, "lie in the model's 0 to 512 s"),
        ({"seconds_start": -1.0}, "model.seconds_start=-1.0"),
        ({"seconds_start": 2.5}, "must rise"),
        ({"seconds_end": 3.1}, "model.seconds_end=3.1: the model's canvas ends at 3.00 s"),
        ({"seconds_end": 3.0001}, "model.seconds_end=3.0001: the model's canvas ends at 3.0000 s"),
        ({"weights": "mine"}, "model.weights must be published or random"),
        ({"dtype": "float64"}, "model.dtype"),
        ({"guidance": "much"}, "model.guidance"),
        ({"prompts": "prompts.txt"}, "model.prompts must be a node"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit(whole: Path, wrong: dict[str, Any], says: str) -> None:
    refusal(lambda: stable_audio(whole, **wrong), says)


def test_prompts_that_are_no_good_are_one_line_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        by_yaml("stable_audio_open", f"model.prompts.file={tmp_path / 'none.txt'}")
    assert "\n" not in str(error.value) and f"{tmp_path / 'none.txt'}: cannot be read" in str(error.value)


def test_seconds_between_which_no_frame_lies(whole: Path) -> None:
    refusal(lambda: stable_audio(whole, seconds_start=1.0, seconds_end=1.01), "seconds_end=1.01", "1/64 s")
    model = stable_audio(whole, seconds_start=1.0, seconds_end=1.02)
    assert model.decode(torch.zeros(1, *model.sample_shape)).shape[1:] == model.clip_shape == (2, 1)
