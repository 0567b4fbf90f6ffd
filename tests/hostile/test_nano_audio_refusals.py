"""The embedded text-to-audio model: settings out of range, damaged weights, words that it does not know."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import UsageError
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.nano.audio.conditioner import VOCABULARY
from smoothbench.models.nano.audio.files import embedded
from smoothbench.models.nano.audio.prompts import labels
from smoothbench.models.nano.audio.spectrogram import SAMPLES
from smoothbench.models.nano.audio.tagger import checked_clips
from tests.support.compose import composed
from tests.support.latent_dits import CPU

NANO = ("model=stable_audio_nano", "metrics=[audio/mrstft,audio/mel_l1]")


def test_the_embedded_model_needs_prompts() -> None:
    node = settings(composed(*NANO)).model
    node["prompts"] = {"_target_": "smoothbench.models.base.prompts.Prompts", "file": None}
    with pytest.raises(UsageError, match=r"model\.prompts is an empty list"):
        build_model(node, CPU)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.seconds=2.5", "model.seconds must be 1.0 to 2.0, not 2.5"),
        ("model.seconds=long", "model.seconds must be 1.0 to 2.0, not long"),
        ("model.prompts.list=all", "model.prompts.list must be seen or held_out, not all"),
        ("model.path=/nowhere", "/nowhere/denoiser: no such folder"),
        ("model.guidance=much", "model.guidance must be a number"),
    ],
)
def test_settings_out_of_range_are_one_clear_line(override: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        built(override)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_damaged_weights_are_refused_by_name(tmp_path: Path) -> None:
    copy_weights(tmp_path)
    assert built(f"model.path={tmp_path}").identity == built().identity
    (tmp_path / "conditioner.safetensors").unlink()
    with pytest.raises(UsageError, match=r"conditioner\.safetensors: no such file"):
        built(f"model.path={tmp_path}")
    (tmp_path / "conditioner.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UsageError, match=r"conditioner\.safetensors: text \('nonsense'\)"):
        built(f"model.path={tmp_path}")
    copy_weights(tmp_path)
    file = tmp_path / "codec" / "decoder.safetensors"
    save_file(dict(list(load_file(file).items())[1:]), file)
    with pytest.raises(UsageError, match=r"decoder\.safetensors: of another model"):
        built(f"model.path={tmp_path}")


def copy_weights(folder: Path) -> None:
    for name in ("denoiser/config.json", "conditioner.safetensors", "codec/decoder.safetensors"):
        copy(name, folder)
    copy("denoiser/diffusion_pytorch_model.safetensors", folder)


def copy(name: str, folder: Path) -> None:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(embedded(name).read_bytes())


def test_words_and_clips_outside_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("a low piano plays a rising scale\na low kazoo plays a rising scale\n")
    with pytest.raises(ValueError, match="'a low kazoo plays a rising scale': 'kazoo' is none of the words"):
        VOCABULARY.tokenize(Prompts(str(path)).texts)
    with pytest.raises(ValueError, match="must have 1 to 16 words, not 17"):
        VOCABULARY.tokenize([" ".join(["a"] * 17)])
    with pytest.raises(ValueError, match="not of the grammar"):
        labels(Prompts(str(path)), "instrument")
    with pytest.raises(ValueError, match="attribute must be instrument"):
        labels(built().prompts, "tempo")
    for wrong in (torch.zeros(2, 1, SAMPLES), torch.zeros(2, 2, SAMPLES, dtype=torch.int16)):
        with pytest.raises(ValueError, match=r"take int16 \[N, 1, 32768\]"):
            checked_clips(wrong)


def built(*overrides: str) -> Any:
    cfg = settings(
        composed("model=stable_audio_nano", "solver=dpmpp_3m_sde", "metrics=[fd_nano]", *overrides)
    )
    return build_model(cfg.model, torch.device("cpu"))
