"""Files of the stages calibrate and train: routers trained on latents from a file, and what is refused before."""

from pathlib import Path

import numpy as np
import pytest

from smoothbench.cli import job
from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from smoothbench.running.calibrate_or_train import save_plan
from tests.support.compose import composed

TRAIN = ("stage=train", "cache=l2c", "solver.steps=4", "cache.training.steps=2", "training.batch_size=2")


def latents_file(path: Path, seed: int, **changes: object) -> Path:
    rng = np.random.default_rng(seed)
    arrays = {"latents": rng.normal(size=(4, 1, 28, 28)).astype(np.float32), "labels": np.arange(4)}
    np.savez(path, **{**arrays, **changes})  # type: ignore[arg-type]
    return path


def train_router(folder: Path, out: str, data: Path) -> int:
    return job(composed(*TRAIN, f"results_dir={folder}", f"out={folder / out}", f"training.latents={data}"))


def test_other_latents_in_the_same_place_give_another_router(tmp_path: Path) -> None:
    for out, seed in (("a.safetensors", 1), ("b.safetensors", 2), ("c.safetensors", 1)):
        assert train_router(tmp_path, out, latents_file(tmp_path / "data.npz", seed)) == 0
    a, b, c = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert a != b and a == c


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.array([0, 1, 2, 99])},
        {"labels": np.array([-1, 1, 2, 3])},
        {"labels": np.array([0.5, 1, 2, 3])},
        {"labels": np.array(list("abcd"))},
        {"latents": np.zeros((4, 1, 28, 28), complex)},
        {"latents": np.zeros((0, 1, 28, 28)), "labels": np.zeros(0, int)},
    ],
)
def test_latents_and_labels_of_other_kinds_are_one_line(
    changes: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_router(tmp_path, "r.safetensors", latents_file(tmp_path / "data.npz", 0, **changes)) == 2
    assert capsys.readouterr().err.count("training.latents=") == 1


def test_a_damaged_checkpoint_is_said_once_and_then_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = latents_file(tmp_path / "data.npz", 1)
    assert train_router(tmp_path, "a.safetensors", data) == 0
    (checkpoint,) = tmp_path.rglob("training/*.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:300])
    assert train_router(tmp_path, "b.safetensors", data) != 0
    assert "was damaged and is removed" in capsys.readouterr().err
    assert train_router(tmp_path, "b.safetensors", data) == 0
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_method_that_cannot_be_is_told_before_curves_are_measured(tmp_path: Path) -> None:
    asked = ("stage=calibrate", f"out={tmp_path / 'c.npz'}", f"results_dir={tmp_path}", "cache=smoothcache")
    with pytest.raises(UsageError, match="alpha must be at least 0"):
        save_plan(settings(composed(*asked, "cache.policy.alpha=-1")))
    assert not (tmp_path / "c.npz").exists() and not list(tmp_path.rglob("curves/*"))
