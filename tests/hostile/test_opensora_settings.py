"""Open-Sora's settings: other versions, values of no type or out of range; published and embedded model."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import UsageError
from smoothbench.models.nano.video.files import embedded
from tests.support.compose import composed
from tests.support.latent_dits import CPU, changes, refusal
from tests.support.opensora import opensora, published


@pytest.fixture(scope="module")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's parts, not to be written to."""
    return published(tmp_path_factory.mktemp("published"))


@pytest.fixture
def repository_copy(tiny_repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_repository, tmp_path / "model"))


def nano_node(*overrides: str) -> Any:
    return settings(composed("model=opensora_nano", "metrics=[video/psnr]", *overrides)).model


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
def test_a_transformer_that_calls_itself_an_stdit3(repository_copy: Path, key: str, value: Any) -> None:
    changes(repository_copy, "transformer", **{key: value})
    refusal(
        lambda: opensora(repository_copy),
        repository_copy / "transformer/config.json",
        f"{key}={value}",
        "another Open-Sora",
    )
    changes(repository_copy, "transformer", **{key: None if isinstance(value, list) else False})
    opensora(repository_copy)


def test_weights_of_a_conditioned_transformer(repository_copy: Path) -> None:
    path = repository_copy / "transformer/model.safetensors"
    save_file({**load_file(path), "x_embedder_cond.proj.bias": torch.zeros(1)}, path)
    refusal(
        lambda: opensora(repository_copy).denoiser,
        path,
        "x_embedder_cond.proj.bias is of another Open-Sora version",
    )


@pytest.mark.parametrize(
    ("key", "values", "requirement"),
    [
        ("patch_size", [2, [2, 2], [1, 2, "2"], [1, 2, 0], None], "three whole numbers from 1"),
        ("qk_norm", ["false", 1, None], "true or false"),
        ("pred_sigma", ["no"], "true or false"),
        ("mlp_ratio", ["4", math.nan, math.inf, 0, True], "a finite number above 0"),
    ],
)
def test_arguments_of_another_type(
    repository_copy: Path, key: str, values: list[Any], requirement: str
) -> None:
    for value in values:
        changes(repository_copy, "transformer", **{key: value})
        refusal(
            lambda: opensora(repository_copy),
            repository_copy / "transformer/config.json",
            f"{key} must be {requirement}",
        )


def test_settings_of_another_type(tiny_repository: Path) -> None:
    refusal(lambda: opensora(tiny_repository, tokens="many"), "model.tokens='many': prompts have 1 to 24")
    refusal(lambda: opensora(tiny_repository, tokens=2.0), "model.tokens=2.0")
    refusal(lambda: opensora(tiny_repository, shift=math.nan), "model.shift=nan")


def test_an_autoencoder_with_other_settings(repository_copy: Path) -> None:
    where = repository_copy / "vae/config.json"
    changes(repository_copy, "vae", micro_frame_size=None)
    refusal(
        lambda: opensora(repository_copy), where, "micro_frame_size=None", "17 frames at once", "model.vae="
    )
    changes(repository_copy, "vae", micro_frame_size=17, cal_loss=True)
    refusal(lambda: opensora(repository_copy), where, "cal_loss=True is for training", "model.vae=")
    changes(repository_copy, "vae", cal_loss=False)
    opensora(repository_copy)


@pytest.mark.parametrize("shift", [0, -1.5, math.inf, math.nan, "much", True])
def test_a_shift_that_is_none(shift: Any) -> None:
    with pytest.raises(UsageError, match=r"model\.shift must be a finite number above 0"):
        build_model({**nano_node(), "shift": shift}, CPU)


def test_the_embedded_model_checks_the_same(tmp_path: Path) -> None:
    shutil.copytree(embedded("denoiser"), tmp_path / "denoiser")
    where = f"{tmp_path}/denoiser/config.json: "
    config = json.loads((tmp_path / "denoiser/config.json").read_text())
    for wrong, says in (
        ({"depth": "4"}, "depth must be a whole number"),
        ({"num_heads": 5}, "no STDiT3 can be made of it"),
        ({"width": 9}, "no STDiT3 can be made of it"),
    ):
        (tmp_path / "denoiser/config.json").write_text(json.dumps(config | wrong))
        with pytest.raises(UsageError) as error:
            build_model(nano_node(f"model.path={tmp_path}"), CPU)
        assert where + says in str(error.value) and "\n" not in str(error.value)


def test_the_embedded_model_needs_prompts() -> None:
    node = nano_node()
    node["prompts"] = {"_target_": "smoothbench.models.base.prompts.Prompts", "file": None}
    with pytest.raises(UsageError, match=r"model\.prompts is an empty list"):
        build_model(node, CPU)
