"""What an experiment refuses before its first sample, in one clear line."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

import smoothbench.models.nano.image as nano
from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from smoothbench.running.experiment import Experiment
from smoothbench.solvers.dpmpp_3m_sde import DPMSolverPlusPlus3MSDE
from tests.support.compose import composed, experiment
from tests.support.latent_dits import SAFE, refusal
from tests.support.tiny_pipelines import save_tiny_dit


def test_calibration_seeds_and_devices_are_checked(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device"):
            experiment(tmp_path, "device=cuda")
    with pytest.raises(UsageError, match="no such device"):
        experiment(tmp_path, "device=abacus")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.path=/nowhere", "weights /nowhere/config.json: no such file"),
        ("cache.policy.alpha=-1", "alpha must be at least 0"),
        ("cache.predictor=oracle", "no predictor 'oracle'"),
        ("cache.policy._target_=baselines.fora.Nothing", "Nothing"),
        ("solver.steps=4.0", "whole number"),
        ("model.guidance=abc", "model.guidance must be a number"),
        ("cache.policy.k_max=2.5", "k_max must be a whole number"),
        ("cache.policy.alpha=.inf", "finite"),
        ("cache.predictor=null", "no predictor None"),
        ("device=meta", "no such device"),
        ("solver.steps=1", "solver.steps must be a whole number from 2 to 1000"),
        ("solver=dpmpp_3m_sde", "DPMSolverPlusPlus3MSDE takes v, and dit_nano predicts noise"),
        ("model.evaluation.reference.file=absent.npz", "absent.npz"),
        ("model.evaluation.encoder.weights=absent.safetensors", "absent.safetensors"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_sample(
    tmp_path: Path, override: str, message: str
) -> None:
    overrides = [
        "cache=smoothcache",
        "num_samples=4",
        "latency.rounds=0",
        f"results_dir={tmp_path}",
        override,
    ]
    with pytest.raises(UsageError) as error:
        Experiment(settings(composed(*overrides)))
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize("stage", ["all", "latency"])
def test_weights_that_are_none_leave_nothing_behind(tmp_path: Path, stage: str) -> None:
    model = tmp_path / "model"
    save_tiny_dit(model)
    weights = model / "transformer" / SAFE
    weights.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3000\n")
    few = ("model=dit_xl_2_256", f"model.path={model}", "cache=fora", "latency.rounds=1", "device=cpu")
    plan = settings(composed(*few, "metrics=[psnr]", f"stage={stage}", f"results_dir={tmp_path / 'results'}"))
    with pytest.raises(UsageError, match=r"a git-LFS pointer to 3\.0 kB"):
        Experiment(plan)
    assert not list(tmp_path.rglob("records")) and not list(tmp_path.rglob("*.csv"))


@pytest.mark.parametrize("damage", ["truncated", "other"])
def test_damaged_weights_are_refused(tmp_path: Path, damage: str) -> None:
    source, copy = Path(nano.__file__).parent / "dit", tmp_path / "weights"
    shutil.copytree(source, copy)
    if damage == "truncated":
        file = copy / "diffusion_pytorch_model.safetensors"
        file.write_bytes(file.read_bytes()[:-1000])
    else:
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps(config | {"num_layers": 5}))
    with pytest.raises(UsageError, match="half-downloaded" if damage == "truncated" else "of another model"):
        experiment(tmp_path, f"model.path={copy}")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(UsageError, match=r"choose another results_dir"):
        experiment(blocked)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rho": 1000.0}, "solver.rho=1000.0"),
        ({"rho": 1e-17}, "solver.rho=1e-17"),
        ({"sigma_min": 0.3, "sigma_max": math.nextafter(0.3, 1)}, "sigma_max=0.30000000000000004"),
    ],
    ids=str,
)
def test_noise_levels_that_do_not_fall(wrong: dict[str, float], says: str) -> None:
    refusal(lambda: DPMSolverPlusPlus3MSDE(**wrong), says, "are the same")  # type: ignore[arg-type]
