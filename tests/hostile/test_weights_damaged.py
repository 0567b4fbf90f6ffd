"""Weights that are here but damaged, of another model, or more than weights: one line, and nothing runs."""

import argparse
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from smoothbench.models.weights.read import read_tensors
from tests.oracles.dit_equations import Shape, positions, random_weights
from tests.support.latent_dits import (
    BIN,
    SAFE,
    architecture,
    changes,
    forward,
    latent_dit,
    load,
    original,
    refusal,
)
from tests.support.tiny_pipelines import save_in_both_formats

SHAPE = Shape(depth=2, width=32, heads=2)


@pytest.fixture(scope="module")
def tiny_repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """The tiny pipeline by whether it is in safetensors; not to be written to."""
    return save_in_both_formats(tmp_path_factory)


@pytest.fixture
def repository_copy(tiny_repositories: dict[bool, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_repositories[True], tmp_path / "model"))


@pytest.mark.parametrize("part", ["transformer", "vae"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("safe", [True, False])
def test_truncated_weights(
    tiny_repositories: dict[bool, Path], tmp_path: Path, safe: bool, share: float, part: str
) -> None:
    folder = Path(shutil.copytree(tiny_repositories[safe], tmp_path / "cut"))
    path = folder / part / (SAFE if safe else BIN)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    model = latent_dit(folder)
    refusal(lambda: model.denoiser if part == "transformer" else model.decoder, path, "again")


def test_a_pointer_in_place_of_the_weights(repository_copy: Path) -> None:
    path = repository_copy / "transformer" / SAFE
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3000000000\n")
    refusal(load(repository_copy), path, "again")


@pytest.mark.parametrize(("key", "value"), [("num_layers", 2), ("num_layers", 4), ("in_channels", 3)])
def test_weights_of_another_size(repository_copy: Path, key: str, value: int) -> None:
    """Layers too many are as wrong as layers too few."""
    changes(repository_copy, "transformer", **{key: value})
    changes(repository_copy, "vae", latent_channels=3 if key == "in_channels" else 4)
    refusal(load(repository_copy), repository_copy / "transformer" / SAFE, "of another model")


@pytest.mark.parametrize("damage", ["missing", "reshaped"])
def test_a_decoder_with_a_tensor_that_does_not_fit(repository_copy: Path, damage: str) -> None:
    path = repository_copy / "vae" / SAFE
    tensors = load_file(path)
    bias = tensors.pop("decoder.conv_in.bias")
    save_file(tensors | ({"decoder.conv_in.bias": bias[:3]} if damage == "reshaped" else {}), path)
    refusal(lambda: latent_dit(repository_copy).decoder, path, "decoder.conv_in.bias")


def test_a_decoder_that_does_not_fit(repository_copy: Path) -> None:
    changes(repository_copy, "vae", latent_channels=16)
    refusal(lambda: latent_dit(repository_copy), repository_copy / "vae", "16 channels", "model.vae")
    changes(repository_copy, "vae", _class_name="AutoencoderDC")
    refusal(lambda: latent_dit(repository_copy), repository_copy / "vae", "AutoencoderDC", "model.vae")
    shutil.rmtree(repository_copy / "vae")
    refusal(lambda: latent_dit(repository_copy), repository_copy, "vae/config.json")


def test_nested_checkpoints(tmp_path: Path) -> None:
    """Those of its training script: the averaged weights are taken, the arguments are plain values."""
    weights, other = random_weights(SHAPE), random_weights(SHAPE, seed=9)
    plain = forward(original(tmp_path, weights, SHAPE))
    wrapped: list[dict[str, Any]] = [
        {"model": other, "ema": weights, "opt": {"lr": 1e-4}, "args": argparse.Namespace(model="DiT-XL/2")},
        {"model": weights},
        {key: value for key, value in weights.items() if key != "pos_embed"},
    ]
    for checkpoint in wrapped:
        assert torch.equal(forward(original(tmp_path, checkpoint, SHAPE)), plain)
    assert not torch.equal(forward(original(tmp_path, other, SHAPE)), plain)


class Intruder:
    """Writes a file where it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("plain", [True, False])
def test_a_pickle_with_code_runs_nothing(tmp_path: Path, plain: bool) -> None:
    trace, path = tmp_path / "trace", tmp_path / "DiT.pt"
    content = {**random_weights(SHAPE), "more": Intruder(trace)}
    if plain:
        path.write_bytes(pickle.dumps(content["more"]))
    else:
        torch.save(content, path)
    refusal(load(path, architecture=architecture(SHAPE)), path, "refused", "safetensors")
    assert not trace.exists()
    pickle.loads(pickle.dumps(content["more"]))
    assert trace.exists(), "the intruder works"


@pytest.mark.parametrize("content", [[1, 2], {"ema": 3}, torch.zeros(3), {"a": "b"}], ids=str)
def test_a_checkpoint_of_something_else(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "DiT.pt"
    torch.save(content, path)
    refusal(load(path), path, "no state dict")


def test_a_checkpoint_of_another_model(tmp_path: Path) -> None:
    weights = random_weights(SHAPE)
    path = tmp_path / "DiT.pt"

    def refused(changed: dict[str, Any], *says: str) -> None:
        refusal(lambda: original(tmp_path, changed, SHAPE).denoiser, path, "of another model", *says)

    refused({**weights, "pos_embed": positions(32, 8)[None].float()}, "(1, 64, 32)", "resolution")
    refused({**weights, "pos_embed": weights["pos_embed"] + 0.1}, "not the fixed ones")
    refused({**weights, "head.weight": torch.zeros(3)}, "head.weight is no tensor of a DiT")
    refused({**weights, "blocks.0.attn.qkv.bias": torch.zeros(7)})
    refused({name: tensor for name, tensor in weights.items() if "mlp.fc1" not in name}, "it lacks ")
    refused(random_weights(Shape(depth=3, width=32, heads=2)), "that the model has not (")
    refusal(load(path, architecture=architecture(Shape(width=48))), path, "of another model")


def test_whatever_bytes_a_checkpoint_has(tmp_path: Path) -> None:
    path = tmp_path / "DiT.pt"
    torch.save({"a": torch.zeros(500)}, path)
    data = path.read_bytes()
    for cut in range(0, len(data), len(data) // 10 + 1):
        path.write_bytes(data[:cut])
        refusal(lambda: read_tensors(path), path, "weights")
    path.write_text("<html>Sign in to download</html>")
    refusal(lambda: read_tensors(path), path)
