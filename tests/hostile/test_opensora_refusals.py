"""OpenSora: what is missing is said in one line, and so are other versions and sizes, and all else that is wrong."""

import importlib.util
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from smoothbench.config.instantiate import ready
from smoothbench.errors import UsageError
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.opensora.vae import VideoVae
from smoothbench.sampling.loop import latents, silent
from tests.support.hub_cache import in_cache
from tests.support.latent_dits import by_yaml, changes, refusal
from tests.support.opensora import SOLVER, opensora, published

SHARD = "text/text_encoder/model-00002-of-00003.safetensors"


@pytest.fixture(scope="module")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's parts, not to be written to."""
    return published(tmp_path_factory.mktemp("published"))


@pytest.fixture
def repository_copy(tiny_repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_repository, tmp_path / "model"))


def renamed(path: Path, old: str, new: str) -> None:
    """Other names of the tensors in a file."""
    save_file({name.replace(old, new): tensor for name, tensor in load_file(path).items()}, path)


def test_what_is_missing(repository_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, part, repository in (
        ("path", "transformer", "some/one"),
        ("vae", "vae", "hpcai-tech/OpenSora-VAE-v1.2"),
        ("text", "text_encoder", "some/t5"),
    ):
        line = str(opensora(repository_copy, **{key: repository}).unavailable_reason)
        assert f"weights of tiny ({part}) are not here: hf download {repository}" in line
        assert f"model.{key}=FOLDER" in line and "\n" not in line
    assert "tiny has no prompts" in str(opensora(repository_copy, prompts=Prompts(None)).unavailable_reason)
    assert "stage=cost" in str(opensora(repository_copy, weights="random").unavailable_reason)
    random = opensora(repository_copy, weights="random", prompts=Prompts(None))
    assert latents(random, SOLVER, [0], silent).isfinite().all(), "as latencies do"
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ftfy" else find(name))
    model = opensora(repository_copy)
    assert model.unavailable_reason == "Open-Sora's prompts need the package ftfy: pip install -e '.[video]'"
    refusal(lambda: model.context(torch.tensor([0])), "the package ftfy")


def test_repositories_in_the_cache(
    tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text encoder comes in several files: without one of them it is not here."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home/hub"))
    snapshot = in_cache(tmp_path / "home", tiny_repository / "text", "some/t5", "1" * 40)
    model, direct = opensora(tiny_repository, text="some/t5"), opensora(tiny_repository)
    assert model.unavailable_reason is None and model.identity == direct.identity
    numbers = torch.tensor([1])
    assert torch.equal(model.context(numbers)[0], direct.context(numbers)[0])
    (snapshot / SHARD.removeprefix("text/")).resolve().unlink()
    assert "weights of tiny (text_encoder) are not here" in str(
        opensora(tiny_repository, text="some/t5").unavailable_reason
    )


def test_a_transformer_of_another_version(repository_copy: Path) -> None:
    changes(repository_copy, "transformer", model_type="STDiT2")
    refusal(
        lambda: opensora(repository_copy),
        "'STDiT2' is of another Open-Sora version than 1.2",
        "OpenSora-STDiT-v3",
    )
    changes(repository_copy, "transformer", model_type="STDiT3")
    path = repository_copy / "transformer/model.safetensors"
    renamed(path, "spatial_blocks.", "blocks_of_space.")
    refusal(
        lambda: opensora(repository_copy).denoiser,
        path,
        "none named spatial_blocks.*",
        "another Open-Sora version",
    )
    renamed(path, "blocks_of_space.", "spatial_blocks.")
    renamed(path, "fps_embedder.", "size_embedder.")
    refusal(lambda: opensora(repository_copy).denoiser, path, "none named fps_embedder.*")
    renamed(path, "size_embedder.", "fps_embedder.")
    changes(repository_copy, "transformer", depth=2)
    refusal(lambda: opensora(repository_copy).denoiser, path, "another model", "blocks.1")
    changes(repository_copy, "transformer", depth=1, hidden_size=15)
    refusal(lambda: opensora(repository_copy), repository_copy / "transformer/config.json", "hidden_size=15")
    changes(repository_copy, "transformer", hidden_size="wide")
    refusal(lambda: opensora(repository_copy), "hidden_size must be a whole number")


def test_an_autoencoder_of_another_version(repository_copy: Path) -> None:
    path = repository_copy / "vae/model.safetensors"
    tensors = load_file(path)
    save_file({name: each for name, each in tensors.items() if not name.startswith("temporal")}, path)
    refusal(lambda: opensora(repository_copy).decoder, path, "no temporal autoencoder", "OpenSora-VAE-v1.2")
    save_file({**tensors, "more": torch.zeros(1)}, path)
    refusal(lambda: opensora(repository_copy).decoder, path, "more")
    changes(repository_copy, "vae", vae_temporal={"type": "VAE_Temporal_SD", "filters": "many"})
    refusal(lambda: opensora(repository_copy), repository_copy / "vae", "can be made of it")
    changes(repository_copy, "vae", vae_temporal=None)
    refusal(lambda: opensora(repository_copy), repository_copy / "vae", "names no VAE_Temporal_SD")
    changes(repository_copy, "vae", model_type="OpenSoraVAE_V1_3")
    refusal(lambda: opensora(repository_copy), "'OpenSoraVAE_V1_3' is not Open-Sora 1.2's", "model.vae=")
    shutil.copy(repository_copy / "transformer/config.json", repository_copy / "vae")
    refusal(lambda: opensora(repository_copy), repository_copy / "vae", "'STDiT3' is not")


def test_other_text_encoders(repository_copy: Path) -> None:
    changes(repository_copy, "text/text_encoder", d_model=64)
    refusal(lambda: opensora(repository_copy), "text of width 64, the transformer takes 32", "model.text")
    changes(repository_copy, "text/text_encoder", model_type="umt5")
    refusal(lambda: opensora(repository_copy), "a umt5, not a T5 encoder")
    (repository_copy / "text/tokenizer/tokenizer.json").write_text("{")
    changes(repository_copy, "text/text_encoder", model_type="t5", d_model=32)
    refusal(lambda: opensora(repository_copy).text, repository_copy / "text/tokenizer", "no tokenizer")


@pytest.mark.parametrize("file", ["transformer/model.safetensors", "vae/model.safetensors", SHARD])
def test_damaged_weights(repository_copy: Path, file: str) -> None:
    path = repository_copy / file
    path.write_bytes(path.read_bytes()[:-40])
    model = opensora(repository_copy)
    refusal(lambda: (model.denoiser, model.decoder, model.text), path, "download or save", "again")
    path.unlink()
    refusal(lambda: opensora(repository_copy), path.parent, "half-downloaded")


def test_a_damaged_index(repository_copy: Path) -> None:
    path = repository_copy / "text/text_encoder/model.safetensors.index.json"
    for content in ({}, {"weight_map": {"shared.weight": "../elsewhere.bin"}}, {"weight_map": []}):
        path.write_text(json.dumps(content))
        refusal(lambda: opensora(repository_copy), path, "no index of weights")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            {"resolution": "1080p"},
            "model.resolution='1080p': Open-Sora 1.2 knows 144p, 240p, 360p, 480p, 720p",
        ),
        ({"aspect_ratio": "4:3"}, "model.aspect_ratio='4:3': Open-Sora 1.2 knows 9:16, 16:9, 1:1"),
        ({"length": "3s"}, "model.length='3s': Open-Sora 1.2 knows 2s, 4s, 8s, 16s"),
        ({"length": "4s"}, "takes model.shift=2.05"),
        ({"shift": "much"}, "model.shift=much"),
        ({"fps": 0}, "model.fps=0"),
        ({"tokens": 25}, "model.tokens=25: prompts have 1 to 24 tokens"),
        ({"weights": "mine"}, "model.weights must be published or random"),
        ({"dtype": "float64"}, "model.dtype"),
        ({"prompts": "prompts.txt"}, "model.prompts must be a node"),
        ({"text": "some/one/else"}, "model.text=some/one/else"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit(tiny_repository: Path, wrong: dict[str, Any], says: str) -> None:
    refusal(lambda: opensora(tiny_repository, **wrong), says)


def test_a_setting_of_the_command_that_does_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UsageError) as error:
        by_yaml("opensora", "model.resolution=720p")
    assert "model.shift=7.26" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UsageError, match=r"model\.architecture\.width: no argument of STDiT3"):
        by_yaml("opensora", "+model.architecture.width=3")


def test_no_autoencoder_of_odd_sizes() -> None:
    refusal(lambda: VideoVae(None, {"filters": 48}), "divisible")


def save_pieces_alone(folder: Path) -> None:
    """A tokenizer as T5 XXL is published: spiece.model, and no tokenizer.json."""
    trainer = pytest.importorskip("sentencepiece").SentencePieceTrainer
    model, lines = io.BytesIO(), ["rain and hail on a dog", "a cat in the wind"] * 5
    options = {
        "pad_id": 0,
        "eos_id": 1,
        "unk_id": 2,
        "bos_id": -1,
        "hard_vocab_limit": False,
        "minloglevel": 2,
    }
    trainer.train(sentence_iterator=iter(lines), model_writer=model, vocab_size=30, **options)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "spiece.model").write_bytes(model.getvalue())
    config = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "model_max_length": 24}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def test_a_tokenizer_of_pieces_alone(
    tiny_repository: Path, repository_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pieces_alone(repository_copy / "text/tokenizer")
    model = opensora(repository_copy)
    assert model.unavailable_reason is None and model.text is not None
    assert 2 < len(model.text("a dog")) < 7, "pieces, where bytes would be 6"
    find = importlib.util.find_spec

    def without(name: str) -> None:
        monkeypatch.setattr(
            "importlib.util.find_spec", lambda wanted: None if wanted == name else find(wanted)
        )

    for module, package in (("sentencepiece", "sentencepiece"), ("google.protobuf", "protobuf")):
        without(module)
        line = f"Open-Sora's prompts need the package {package}: pip install -e '.[video]'"
        assert opensora(repository_copy).unavailable_reason == line
        assert opensora(tiny_repository).unavailable_reason is None, "tokenizer.json needs neither"

    def nothing_of_google(name: str) -> Any:
        if name.startswith("google."):
            raise ModuleNotFoundError("No module named 'google'")
        return find(name)

    monkeypatch.setattr("importlib.util.find_spec", nothing_of_google)
    assert "the package protobuf" in str(opensora(repository_copy).unavailable_reason)


def test_a_damaged_text_encoder_shows_before_the_first_sample(repository_copy: Path) -> None:
    (repository_copy / "text/tokenizer/tokenizer.json").write_text("{")
    with pytest.raises(UsageError, match=r"tokenizer: no tokenizer \("):
        ready(opensora(repository_copy), "all")
