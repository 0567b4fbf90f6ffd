"""Weights in every layout that the hub has give the same model; what is no weights is named for what it is."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants, save_torch_state_dict
from safetensors.torch import load_file, save_file

from smoothbench.errors import distinct
from smoothbench.models.weights.locate import find
from smoothbench.models.weights.read import read_tensors
from tests.support import opensora, stable_audio
from tests.support.hub_cache import REPOSITORY, REVISION, in_cache
from tests.support.latent_dits import BIN, SAFE, changes, forward, latent_dit, load, refusal
from tests.support.tiny_pipelines import save_tiny_dit, tiny_dit_pipeline

SHARDS: dict[str, Any] = {"max_shard_size": "50KB"}
LAYOUTS: list[dict[str, Any]] = [
    SHARDS,
    {"variant": "fp16"},
    {"variant": "fp16", **SHARDS},
    {"safe_serialization": False, **SHARDS},
    {"safe_serialization": False, "variant": "fp16"},
]
INDEX = f"{SAFE}.index.json"


@pytest.fixture(scope="module")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline, a file for each component; not to be written to."""
    folder = tmp_path_factory.mktemp("plain")
    save_tiny_dit(folder)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home/hub"))
    return tmp_path / "home"


def saved(folder: Path, **layout: Any) -> Path:
    """The tiny pipeline in another layout."""
    tiny_dit_pipeline().save_pretrained(folder, **layout)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_layout_gives_the_same_denoiser_and_decoder(
    tiny_repository: Path, home: Path, layout: dict[str, Any], tmp_path: Path
) -> None:
    folder, x = saved(tmp_path / "model", **layout), torch.randn(1, 4, 8, 8)
    in_cache(home, folder, REPOSITORY, REVISION)
    if "max_shard_size" in layout:
        assert len(list((folder / "transformer").glob("*-of-*"))) > 1
    direct = latent_dit(tiny_repository)
    for path in (folder, REPOSITORY):
        model = latent_dit(path)
        assert model.unavailable_reason is None and model.identity["weights_sha256"] != "random"
        assert torch.equal(forward(model), forward(direct))
        torch.testing.assert_close(model.decoder(x), direct.decoder(x))


def test_shards_of_a_variant_by_their_older_name(tiny_repository: Path, tmp_path: Path) -> None:
    """As on the hub before the index carried the variant's name."""
    folder = saved(tmp_path, variant="fp16", **SHARDS) / "transformer"
    index = folder / f"{SAFE}.index.fp16.json"
    content = json.loads(index.read_text())
    for old in set(content["weight_map"].values()):
        (folder / old).rename(folder / renamed(old))
    content["weight_map"] = {name: renamed(old) for name, old in content["weight_map"].items()}
    index.write_text(json.dumps(content))
    assert torch.equal(forward(latent_dit(tmp_path)), forward(latent_dit(tiny_repository)))


def renamed(shard: str) -> str:
    """diffusion_pytorch_model.fp16-00001-of-00003.safetensors, whatever it was."""
    number = shard.split("-")[1]
    of = shard.split("-of-")[1].split(".")[0]
    return f"diffusion_pytorch_model.fp16-{number}-of-{of}.safetensors"


def test_full_precision_comes_before_variants(tiny_repository: Path, tmp_path: Path) -> None:
    """And one variant before none: the least rounded that there is."""
    folder = Path(shutil.copytree(tiny_repository, tmp_path / "model"))
    part = folder / "transformer"
    half = {name: tensor.half() for name, tensor in load_file(part / SAFE).items()}
    for variant in ("bf16", "fp16", "ema"):
        save_file(half, part / f"diffusion_pytorch_model.{variant}.safetensors")
    assert torch.equal(forward(latent_dit(folder)), forward(latent_dit(tiny_repository)))
    torch.save(load_file(part / SAFE), part / BIN)
    (part / SAFE).unlink()
    assert torch.equal(forward(latent_dit(folder)), forward(latent_dit(tiny_repository)))
    (part / BIN).unlink()
    files = find(str(folder), None, ["transformer"], "model.path")
    assert files is not None and files.weights.name == "diffusion_pytorch_model.fp16.safetensors"
    assert not torch.equal(forward(latent_dit(folder)), forward(latent_dit(tiny_repository)))


def test_a_file_beside_an_index_is_what_is_hashed_and_loaded(tiny_repository: Path, tmp_path: Path) -> None:
    """diffusers itself would load the shards, which here are others."""
    folder = Path(shutil.copytree(tiny_repository, tmp_path / "model"))
    other = {name: tensor + 1 for name, tensor in load_file(folder / "vae" / SAFE).items()}
    (tmp_path / "shards").mkdir()
    pattern = "diffusion_pytorch_model{suffix}.safetensors"
    save_torch_state_dict(other, tmp_path / "shards", filename_pattern=pattern, **SHARDS)
    shutil.copytree(tmp_path / "shards", folder / "vae", dirs_exist_ok=True)
    assert (folder / "vae" / INDEX).is_file()
    x, direct = torch.randn(1, 4, 8, 8), latent_dit(tiny_repository)
    model = latent_dit(folder)
    assert model.identity["vae_sha256"] == direct.identity["vae_sha256"]
    torch.testing.assert_close(model.decoder(x), direct.decoder(x))


@pytest.mark.parametrize("layout", [SHARDS, {"variant": "fp16"}], ids=str)
def test_all_parts_of_stable_audio(layout: dict[str, Any], tmp_path: Path) -> None:
    pipe = stable_audio.published(tmp_path / "plain")
    pipe.save_pretrained(tmp_path / "other", **layout)
    shutil.copy(tmp_path / "plain/prompts.txt", tmp_path / "other")
    plain, other = (stable_audio.stable_audio(tmp_path / name) for name in ("plain", "other"))
    x, numbers = torch.randn(1, *plain.sample_shape), torch.tensor([0])
    with torch.inference_mode():
        assert torch.equal(other.output(x, 3.0, numbers), plain.output(x, 3.0, numbers))
        assert torch.equal(other.decode(x), plain.decode(x))


def test_all_parts_of_open_sora(tmp_path: Path) -> None:
    plain = opensora.published(tmp_path / "plain")
    folder = Path(shutil.copytree(plain, tmp_path / "other"))
    for part in ("transformer", "vae"):
        state = load_file(folder / part / "model.safetensors")
        (folder / part / "model.safetensors").unlink()
        save_torch_state_dict(
            state, folder / part, filename_pattern="model{suffix}.safetensors", max_shard_size="5KB"
        )
        assert (folder / part / "model.safetensors.index.json").is_file()
    models = [opensora.opensora(each) for each in (plain, folder)]
    x, numbers = torch.randn(1, *models[0].sample_shape), torch.tensor([1])
    with torch.inference_mode():
        assert torch.equal(*(model.output(x, 500.0, numbers) for model in models))
        assert torch.equal(*(model.decode(x) for model in models))


def test_a_shard_that_is_not_here_is_named(home: Path, tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", **SHARDS)
    snapshot = in_cache(home, folder, REPOSITORY, REVISION)
    shards = sorted(path.name for path in (folder / "transformer").glob("*-of-*"))
    (folder / "transformer" / shards[1]).unlink()
    (snapshot / "transformer" / shards[1]).unlink()
    refusal(
        lambda: latent_dit(folder),
        folder / "transformer",
        f"{shards[1]}, which {INDEX} names",
        "half-downloaded",
    )
    line = str(latent_dit(REPOSITORY).unavailable_reason)
    assert f"transformer/{shards[1]} is missing" in line and "hf download" in line and "\n" not in line
    (snapshot / "transformer" / shards[0]).unlink()
    assert "and 1 more" in str(latent_dit(REPOSITORY).unavailable_reason)


@pytest.fixture
def path(tiny_repository: Path, tmp_path: Path) -> Path:
    """A transformer's weights, to be spoilt."""
    return Path(shutil.copytree(tiny_repository, tmp_path / "spoilt")) / "transformer" / SAFE


def spoilt(path: Path, data: bytes) -> Callable[[], object]:
    path.write_bytes(data)
    return load(path.parent.parent)


def test_what_is_no_weights_is_named(path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3000000000\n"
    refusal(spoilt(path, pointer), path, "a git-LFS pointer to 3.0 GB", "git lfs pull")
    refusal(spoilt(path, b""), path, "an empty file", "again")
    refusal(
        spoilt(path, b"<!doctype html><html>Sign in"), path, "text ('<!doctype html><html>Sign in')", "again"
    )
    refusal(spoilt(path, b"Entry not found"), path, "text ('Entry not found')")
    refusal(spoilt(path, b"GGUF\x03\x00\x00\x00" + bytes(99)), path, "a GGUF file", "safetensors")


def test_weights_under_the_name_of_another_format(tiny_repository: Path, path: Path, tmp_path: Path) -> None:
    torch.save(load_file(path), tmp_path / "checkpoint.bin")
    checkpoint = (tmp_path / "checkpoint.bin").read_bytes()
    refusal(spoilt(path, checkpoint), path, "a PyTorch checkpoint", "rename it to *.bin")
    shutil.copy(tiny_repository / "transformer" / SAFE, tmp_path / "checkpoint.bin")
    refusal(
        lambda: read_tensors(tmp_path / "checkpoint.bin"), "a safetensors file", "rename it to *.safetensors"
    )


def test_a_file_that_was_cut_says_how_much_is_there(path: Path) -> None:
    data = path.read_bytes()
    for there in (len(data) // 2, len(data) - 1):
        here, expected = distinct(there / 1e3, len(data) / 1e3)
        refusal(spoilt(path, data[:there]), path, f"half-downloaded, {here} of {expected} kB", "again")
    refusal(spoilt(path, data[:5]), path, "half-downloaded")


def test_an_index_of_shards_is_a_checkpoint(tiny_repository: Path, tmp_path: Path) -> None:
    split = saved(tmp_path / "split", **SHARDS) / "transformer"
    model, direct = latent_dit(split / INDEX, vae=str(tiny_repository / "vae")), latent_dit(tiny_repository)
    assert model.unavailable_reason is None and torch.equal(forward(model), forward(direct))
    assert model.identity["weights_sha256"] == latent_dit(split.parent).identity["weights_sha256"]
    shard = sorted(split.glob("*-of-*.safetensors"))[0]
    shard.unlink()
    refusal(lambda: latent_dit(split / INDEX), shard.name, INDEX, "half-downloaded?", "again")
    (split / INDEX).write_text("[]")
    refusal(lambda: latent_dit(split / INDEX), INDEX, "again")


def test_another_architecture_says_what_differs(path: Path) -> None:
    folder, tensors = path.parent.parent, load_file(path)
    lacking = {
        name: tensor for name, tensor in tensors.items() if not name.startswith("transformer_blocks.2.")
    }
    save_file({**lacking, "extra.bias": torch.zeros(1), "proj_out_1.bias": torch.zeros(3)}, path)
    count = len(tensors) - len(lacking)
    refusal(
        load(folder),
        path,
        f"of another model: it lacks {count} of {len(tensors)} tensors (transformer_blocks.2.",
        "has 1 that the model has not (extra.bias)",
        "1 of another shape (proj_out_1.bias: [3], not [64])",
    )
    changes(folder, "transformer", num_layers=2)
    refusal(load(folder), path, "of another model", "extra.bias")


def test_digits_that_tell_sizes_apart() -> None:
    assert distinct(1.5, 2.5) == ("1.5", "2.5")
    assert distinct(1.52, 1.53) == ("1.52", "1.53")
    assert distinct(1.500000001, 1.5) == ("1.500000001", "1.500000000")
    assert distinct(1.5, 1.5) == ("1.5", "1.5")
    assert distinct(1.0, 1.0 + 2**-52)[0] != distinct(1.0, 1.0 + 2**-52)[1]


def test_links_to_the_cache_s_blobs_are_followed(tiny_repository: Path, home: Path) -> None:
    """A snapshot given as a folder: its files are links, its blobs have no suffix."""
    snapshot = in_cache(home, tiny_repository, REPOSITORY, REVISION)
    assert os.path.islink(snapshot / "transformer" / SAFE)
    assert torch.equal(forward(latent_dit(snapshot)), forward(latent_dit(tiny_repository)))
