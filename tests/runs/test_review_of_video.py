"""What a review of the video part found, each as a test."""

import importlib.util
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model, ready
from smoothbench.errors import UsageError
from smoothbench.models.nano.video.files import embedded
from tests.support.compose import composed
from tests.support.latent_dits import CPU, changes, refusal
from tests.support.opensora import opensora, published


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's parts, not to be written to."""
    return published(tmp_path_factory.mktemp("published"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def nano_node(*overrides: str) -> Any:
    return settings(composed("model=opensora_nano", "metrics=[video/psnr]", *overrides)).model


# --- what prompts need


def pieces_alone(folder: Path) -> None:
    """A tokenizer as T5 XXL is published: spiece.model, and no tokenizer.json."""
    trainer = pytest.importorskip("sentencepiece").SentencePieceTrainer
    model, lines = io.BytesIO(), ["rain and hail on a dog", "a cat in the wind"] * 5
    asked = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, "hard_vocab_limit": False, "minloglevel": 2}
    trainer.train(sentence_iterator=iter(lines), model_writer=model, vocab_size=30, **asked)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "spiece.model").write_bytes(model.getvalue())
    said = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "model_max_length": 24}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))


def test_a_tokenizer_of_pieces_alone(whole: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces_alone(folder / "text/tokenizer")
    model = opensora(folder)
    assert model.unavailable_reason is None and model.text is not None
    assert 2 < len(model.text("a dog")) < 7, "pieces, where bytes would be 6"
    find = importlib.util.find_spec

    def without(name: str) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda asked: None if asked == name else find(asked))

    for module, package in (("sentencepiece", "sentencepiece"), ("google.protobuf", "protobuf")):
        without(module)
        line = f"Open-Sora's prompts need the package {package}: pip install -e '.[video]'"
        assert opensora(folder).unavailable_reason == line
        assert opensora(whole).unavailable_reason is None, "tokenizer.json needs neither"

    def nothing_of_google(name: str) -> Any:
        if name.startswith("google."):
            raise ModuleNotFoundError("No module named 'google'")
        return find(name)

    monkeypatch.setattr("importlib.util.find_spec", nothing_of_google)
    assert "the package protobuf" in str(opensora(folder).unavailable_reason)


def test_the_extra_names_protobuf() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert '"protobuf>=4"' in text.partition("\nvideo = [")[2].partition("]")[0]


def test_a_damaged_text_encoder_shows_before_the_first_sample(folder: Path) -> None:
    (folder / "text/tokenizer/tokenizer.json").write_text("{")
    with pytest.raises(UsageError, match=r"tokenizer: no tokenizer \("):
        ready(opensora(folder), "all")


# --- identities


BESIDE = (
    "vae/config.json",
    "text/text_encoder/config.json",
    "text/tokenizer/tokenizer.json",
    "text/tokenizer/tokenizer_config.json",
)


@pytest.mark.parametrize("name", BESIDE)
def test_identity(whole: Path, folder: Path, name: str) -> None:
    before = opensora(folder).identity
    assert before == opensora(whole).identity
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()), indent=7))
    assert opensora(folder).identity != before
    random = opensora(folder, weights="random").identity
    assert {random[key] for key in random if key.endswith("_sha256")} > {"random"}


# --- other versions, and what is of no type


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kernel_size", [8, 8, -1]),
        ("use_spatial_rope", True),
        ("skip_temporal", True),
        ("skip_y_embedder", True),
        ("qk_norm_legacy", True),
    ],
)
def test_a_transformer_that_calls_itself_an_stdit3(folder: Path, key: str, value: Any) -> None:
    changes(folder, "transformer", **{key: value})
    refusal(
        lambda: opensora(folder), folder / "transformer/config.json", f"{key}={value}", "another Open-Sora"
    )
    changes(folder, "transformer", **{key: None if isinstance(value, list) else False})
    opensora(folder)


def test_weights_of_a_conditioned_transformer(folder: Path) -> None:
    path = folder / "transformer/model.safetensors"
    save_file({**load_file(path), "x_embedder_cond.proj.bias": torch.zeros(1)}, path)
    refusal(
        lambda: opensora(folder).denoiser, path, "x_embedder_cond.proj.bias is of another Open-Sora version"
    )


@pytest.mark.parametrize(
    ("key", "values", "asked"),
    [
        ("patch_size", [2, [2, 2], [1, 2, "2"], [1, 2, 0], None], "three whole numbers from 1"),
        ("qk_norm", ["false", 1, None], "true or false"),
        ("pred_sigma", ["no"], "true or false"),
        ("mlp_ratio", ["4", math.nan, math.inf, 0, True], "a finite number above 0"),
    ],
)
def test_arguments_of_another_type(folder: Path, key: str, values: list[Any], asked: str) -> None:
    for value in values:
        changes(folder, "transformer", **{key: value})
        refusal(lambda: opensora(folder), folder / "transformer/config.json", f"{key} must be {asked}")


def test_settings_of_another_type(whole: Path) -> None:
    refusal(lambda: opensora(whole, tokens="many"), "model.tokens='many': prompts have 1 to 24")
    refusal(lambda: opensora(whole, tokens=2.0), "model.tokens=2.0")
    refusal(lambda: opensora(whole, shift=math.nan), "model.shift=nan")


def test_an_autoencoder_with_other_settings(folder: Path) -> None:
    where = folder / "vae/config.json"
    changes(folder, "vae", micro_frame_size=None)
    refusal(lambda: opensora(folder), where, "micro_frame_size=None", "17 frames at once", "model.vae=")
    changes(folder, "vae", micro_frame_size=17, cal_loss=True)
    refusal(lambda: opensora(folder), where, "cal_loss=True is for training", "model.vae=")
    changes(folder, "vae", cal_loss=False)
    opensora(folder)


def test_the_embedded_model_checks_the_same(tmp_path: Path) -> None:
    shutil.copytree(embedded("denoiser"), tmp_path / "denoiser")
    where = f"{tmp_path}/denoiser/config.json: "
    whole = json.loads((tmp_path / "denoiser/config.json").read_text())
    for wrong, says in (
        ({"depth": "4"}, "depth must be a whole number"),
        ({"num_heads": 5}, "no STDiT3 can be made of it"),
        ({"width": 9}, "no STDiT3 can be made of it"),
    ):
        (tmp_path / "denoiser/config.json").write_text(json.dumps(whole | wrong))
        with pytest.raises(UsageError) as error:
            build_model(nano_node(f"model.path={tmp_path}"), CPU)
        assert where + says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("shift", [0, -1.5, math.inf, math.nan, "much", True])
def test_a_shift_that_is_none(shift: Any) -> None:
    with pytest.raises(UsageError, match=r"model\.shift must be a finite number above 0"):
        build_model({**nano_node(), "shift": shift}, CPU)


def test_the_embedded_model_needs_prompts() -> None:
    node = nano_node()
    node["prompts"] = {"_target_": "smoothbench.models.base.prompts.Prompts", "file": None}
    with pytest.raises(UsageError, match=r"model\.prompts is an empty list"):
        build_model(node, CPU)
