"""Weights that are not here are told in one line, and so is everything that is here but wrong."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

from smoothbench.models.dit.latent import LatentDiT
from smoothbench.models.weights.locate import Files, blob_sha256, find
from tests.oracles.dit_equations import Shape, random_weights
from tests.support.hub_cache import REPOSITORY, REVISION, in_cache
from tests.support.latent_dits import (
    SAFE,
    TINY,
    by_yaml,
    changes,
    forward,
    latent_dit,
    load,
    original,
    refusal,
)
from tests.support.tiny_pipelines import save_in_both_formats, tiny_pixart_pipeline

SHAPE = Shape(depth=2, width=32, heads=2)


@pytest.fixture(scope="module")
def tiny_repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """The tiny pipeline by whether it is in safetensors; not to be written to."""
    return save_in_both_formats(tmp_path_factory)


@pytest.fixture
def repository_copy(tiny_repositories: dict[bool, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_repositories[True], tmp_path / "model"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache; the constant is read from HF_HOME when the package is imported."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home/hub"))
    return tmp_path / "home"


def test_nothing_is_here(home: Path) -> None:
    model = by_yaml("dit_xl_2_256")
    line = str(model.unavailable_reason)
    assert f"hf download {REPOSITORY} --revision {REVISION} (licence cc-by-nc-4.0)" in line
    assert "model.path=FOLDER" in line and "\n" not in line
    assert model.identity["weights_sha256"] == model.identity["vae_sha256"] == "random"
    assert "model.path=FOLDER or FILE.pt" in str(by_yaml("dit_l_2_256").unavailable_reason)
    assert "hf auth login" in str(latent_dit("someone/gated", revision=None).unavailable_reason)


@pytest.mark.parametrize("revision", [REVISION, "main", None])
def test_a_repository_in_the_cache(
    home: Path, tiny_repositories: dict[bool, Path], revision: str | None
) -> None:
    in_cache(home, tiny_repositories[False], REPOSITORY, REVISION)
    model = latent_dit(REPOSITORY, revision=revision)
    assert model.unavailable_reason is None
    assert torch.equal(forward(model), forward(latent_dit(tiny_repositories[True])))
    assert model.decode(torch.zeros(1, 4, 8, 8)).shape == (1, 3, 16, 16)
    assert "hf download" in str(latent_dit(REPOSITORY, revision="0" * 40).unavailable_reason)


def test_hf_home_is_honoured(home: Path, tiny_repositories: dict[bool, Path]) -> None:
    snapshot = in_cache(home, tiny_repositories[True], REPOSITORY, REVISION)
    code = f"from smoothbench.models.weights.locate import find; print(find('{REPOSITORY}', None, ['vae'], '').folder)"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE_", "XDG_"))}
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"HF_HOME": str(home)}, capture_output=True, text=True
    )
    assert process.stdout.strip() == str(snapshot / "vae"), process.stderr


def test_half_a_repository_is_missing(home: Path, tiny_repositories: dict[bool, Path]) -> None:
    """Interrupted downloads: a link whose blob is not there, then a decoder that is not there."""
    snapshot = in_cache(home, tiny_repositories[True], REPOSITORY, REVISION)
    blob = (snapshot / "vae" / SAFE).resolve()
    blob.rename(blob.with_suffix(".incomplete"))
    assert "the decoder of tiny is not here: hf download" in str(latent_dit(REPOSITORY).unavailable_reason)
    (snapshot / "transformer" / SAFE).resolve().unlink()
    assert "weights of tiny are not here: hf download" in str(latent_dit(REPOSITORY).unavailable_reason)


def test_a_checkpoint_takes_the_published_decoder(
    home: Path, tiny_repositories: dict[bool, Path], tmp_path: Path
) -> None:
    model = original(tmp_path, random_weights(SHAPE), SHAPE)
    assert "hf download stabilityai/sd-vae-ft-ema (licence mit), or model.vae=FOLDER" in str(
        model.unavailable_reason
    )
    assert model.identity["weights_sha256"] != "random", "the denoiser's weights are here"
    in_cache(home, tiny_repositories[True] / "vae", "stabilityai/sd-vae-ft-ema", "1" * 40)
    assert original(tmp_path, random_weights(SHAPE), SHAPE).unavailable_reason is None
    for vae in (tiny_repositories[False] / "vae", tiny_repositories[False]):
        assert original(tmp_path, random_weights(SHAPE), SHAPE, vae=str(vae)).unavailable_reason is None


@pytest.mark.parametrize("path", ["/nowhere/at/all", "nowhere", "a/b/c", "~/x", "-/-", ""])
def test_a_path_that_is_nothing(path: str) -> None:
    refusal(load(path), f"model.path={path}")
    refusal(load("a/b", vae=path), f"model.vae={path}")


def test_a_folder_without_a_transformer(repository_copy: Path) -> None:
    (repository_copy / "transformer").rename(repository_copy / "unet")
    refusal(
        lambda: latent_dit(repository_copy),
        repository_copy,
        "no transformer/config.json",
        "diffusers' layout",
    )


def test_a_folder_whose_download_was_cut(repository_copy: Path) -> None:
    (repository_copy / "transformer" / SAFE).unlink()
    refusal(lambda: latent_dit(repository_copy), repository_copy / "transformer", "half-downloaded", "again")


@pytest.mark.parametrize("part", ["transformer", "vae"])
@pytest.mark.parametrize("text", ["{", "[]", "\x80", "null"])
def test_a_configuration_that_is_none(repository_copy: Path, text: str, part: str) -> None:
    (repository_copy / part / "config.json").write_text(text, encoding="latin-1")
    refusal(lambda: latent_dit(repository_copy), repository_copy / part / "config.json", "again")


def test_another_model(repository_copy: Path) -> None:
    tiny_pixart_pipeline().transformer.save_pretrained(repository_copy / "transformer")
    refusal(
        lambda: latent_dit(repository_copy),
        repository_copy / "transformer/config.json",
        "PixArt",
        "not a DiT",
    )
    changes(repository_copy, "transformer", _class_name="Transformer2DModel")  # PixArt's legacy name too
    refusal(lambda: latent_dit(repository_copy), "Transformer2DModel with ada_norm_single, not a DiT")
    changes(repository_copy, "transformer", _class_name="UNet2DConditionModel")
    refusal(lambda: latent_dit(repository_copy), "a UNet2DConditionModel", "model.path")


@pytest.mark.parametrize(
    "change",
    [
        {"num_layers": 0},
        {"num_layers": "3"},
        {"sample_size": None},
        {"sample_size": 7},
        {"patch_size": -2},
        {"out_channels": True},
        {"attention_head_dim": 3},
        {"activation_fn": "nonsense"},
    ],
    ids=str,
)
def test_an_impossible_architecture(repository_copy: Path, change: dict[str, Any]) -> None:
    changes(repository_copy, "transformer", **change)
    refusal(lambda: latent_dit(repository_copy), repository_copy / "transformer/config.json")
    refusal(lambda: latent_dit(None, architecture=TINY | change), "model.architecture")


@pytest.mark.parametrize(
    "wrong",
    [
        {"numerics": "exact"},
        {"weights": "mine"},
        {"dtype": "float64"},
        {"guidance": "much"},
        {"architecture": TINY | {"depth": 3}},
    ],
    ids=str,
)
def test_a_setting_that_there_is_not(wrong: dict[str, Any]) -> None:
    refusal(lambda: latent_dit(None, **wrong), f"model.{next(iter(wrong))}")


def test_a_repository_that_has_no_such_part(home: Path) -> None:
    """The hub has said so before, and the cache remembers."""
    marker = home / "hub/models--some--unet/.no_exist" / ("2" * 40) / "transformer/config.json"
    marker.parent.mkdir(parents=True)
    marker.touch()
    refusal(lambda: latent_dit("some/unet", revision="2" * 40), "some/unet", "no transformer/config.json")


def test_finding_asks_no_network(home: Path) -> None:
    assert find("someone/something", "main", ["transformer"], "model.path") is None
    assert isinstance(latent_dit("someone/something"), LatentDiT)


def test_a_blob_that_is_called_by_its_sha256_is_not_read(tmp_path: Path) -> None:
    """Others are: small files of the cache, and what is no link."""
    blob, named = tmp_path / ("a" * 64), tmp_path / "model.safetensors"
    blob.write_bytes(b"weights")
    named.symlink_to(blob)
    assert Files(named).sha256() == "a" * 64 == blob_sha256(named)
    read = hashlib.sha256(b"weights").hexdigest()
    assert Files(blob).sha256() == read
    named.unlink()
    named.symlink_to(blob.rename(tmp_path / ("a" * 40)))
    assert Files(named).sha256() == read
