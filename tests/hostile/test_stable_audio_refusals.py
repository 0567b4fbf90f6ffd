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
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny pipeline, not to be written to."""
    path = tmp_path_factory.mktemp("published")
    published(path)
    return path


@pytest.fixture
def repository_copy(tiny_repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_repository, tmp_path / "model"))


def test_what_is_missing(repository_copy: Path) -> None:
    assert "tiny has no prompts: model.prompts.file=FILE" in str(
        stable_audio(repository_copy, prompts=Prompts(None)).unavailable_reason
    )
    assert "stage=cost" in str(stable_audio(repository_copy, weights="random").unavailable_reason)
    random = stable_audio(repository_copy, weights="random", prompts=Prompts(None))
    x = latents(random, SOLVER, [0, 1], silent)  # as latencies do
    assert x.shape == (2, 8, 24) and x.isfinite().all()
    elsewhere = stable_audio("some/one", prompts=Prompts(None))
    assert "(transformer) are not here: hf download some/one" in str(elsewhere.unavailable_reason)


def test_a_repository_in_the_cache(
    tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, then with a part whose download was cut."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home/hub"))
    snapshot = in_cache(tmp_path / "home", tiny_repository, "some/one", "1" * 40)
    prompts = Prompts(str(tiny_repository / "prompts.txt"))
    model, direct = stable_audio("some/one", prompts=prompts), stable_audio(tiny_repository)
    assert model.unavailable_reason is None and model.identity == direct.identity
    assert torch.equal(latents(model, SOLVER, [0], silent), latents(direct, SOLVER, [0], silent))
    (snapshot / "text_encoder/model.safetensors").resolve().unlink()
    half = stable_audio("some/one", prompts=prompts)
    assert "weights of tiny (text_encoder) are not here: hf download some/one" in str(half.unavailable_reason)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder", "projection_model"])
def test_damaged_weights(repository_copy: Path, part: str) -> None:
    path = next((repository_copy / part).glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-40])
    model = stable_audio(repository_copy)
    refusal(lambda: (model.denoiser, model.decoder, model.text), path, "download or save", "again")
    path.unlink()
    refusal(lambda: stable_audio(repository_copy), repository_copy / part, "half-downloaded")


def test_parts_of_another_model(repository_copy: Path, tmp_path: Path) -> None:
    shutil.copy(repository_copy / "transformer" / SAFE, repository_copy / "vae" / SAFE)
    refusal(lambda: stable_audio(repository_copy).decoder, repository_copy / "vae" / SAFE, "another model")
    changes(repository_copy, "vae", decoder_input_channels=64)
    refusal(lambda: stable_audio(repository_copy), repository_copy / "vae", "64 channels")
    changes(repository_copy, "vae", decoder_input_channels=8)
    changes(repository_copy, "text_encoder", d_model=64)
    refusal(lambda: stable_audio(repository_copy), repository_copy / "projection_model", "width 64")
    changes(repository_copy, "text_encoder", d_model=32)
    save_tiny_dit(tmp_path / "dit")
    refusal(
        lambda: stable_audio(tmp_path / "dit", prompts=Prompts(None)), tmp_path / "dit", "no text_encoder/"
    )
    shutil.copytree(tmp_path / "dit/transformer", repository_copy / "transformer", dirs_exist_ok=True)
    refusal(
        lambda: stable_audio(repository_copy),
        "a DiTTransformer2DModel, not a StableAudioDiTModel",
        "model.path",
    )


def test_a_tokenizer_that_is_none(repository_copy: Path) -> None:
    (repository_copy / "tokenizer/tokenizer.json").write_text("{")
    refusal(lambda: stable_audio(repository_copy).text, repository_copy / "tokenizer", "no tokenizer")
    (repository_copy / "tokenizer/tokenizer.json").unlink()
    refusal(lambda: stable_audio(repository_copy), repository_copy / "tokenizer", "half-downloaded")
    shutil.rmtree(repository_copy / "tokenizer")
    refusal(lambda: stable_audio(repository_copy), repository_copy, "no tokenizer/tokenizer_config.json")


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
def test_settings_that_do_not_fit(tiny_repository: Path, wrong: dict[str, Any], says: str) -> None:
    refusal(lambda: stable_audio(tiny_repository, **wrong), says)


def test_prompts_that_are_no_good_are_one_line_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        by_yaml("stable_audio_open", f"model.prompts.file={tmp_path / 'none.txt'}")
    assert "\n" not in str(error.value) and f"{tmp_path / 'none.txt'}: cannot be read" in str(error.value)


def test_seconds_between_which_no_frame_lies(tiny_repository: Path) -> None:
    refusal(
        lambda: stable_audio(tiny_repository, seconds_start=1.0, seconds_end=1.01),
        "seconds_end=1.01",
        "1/64 s",
    )
    model = stable_audio(tiny_repository, seconds_start=1.0, seconds_end=1.02)
    assert model.decode(torch.zeros(1, *model.sample_shape)).shape[1:] == model.clip_shape == (2, 1)
