"""The commands as a user types them: exit codes, one line for each mistake, nothing left behind."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import errors_of, refusal_of

FEW = ["num_samples=4", "solver.steps=4", "latency.rounds=0", "batch_size=4"]


Here = Callable[..., tuple[int, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """The command in this process, which starts sooner: its exit code, and what it says."""

    def run(*arguments: str) -> tuple[int, str]:
        code, errors = errors_of(arguments, tmp_path, monkeypatch, capfd)
        return code, "\n".join(errors)

    return run


def test_one_point_then_the_same_again(tmp_path: Path, here: Here) -> None:
    command = ["model=dit_nano", "solver=ddim", "cache=smoothcache", "cache.policy.alpha=0.2", *FEW]
    command += ["metrics=[psnr,fd_nano]"]  # a report of few panels
    code, said = here(*command)
    assert code == 0 and "2 points, 0 done, 2 to run" in said, said
    code, said = here(*command)
    assert code == 0 and "nothing to run" in said
    records = [json.loads(path.read_text()) for path in tmp_path.glob("results/runs/adhoc/records/*.json")]
    assert {record["label"] for record in records} == {"no cache, 4 steps", "SmoothCache alpha=0.2"}
    assert (tmp_path / "results/runs/adhoc/report.md").exists()


def test_multirun(tmp_path: Path, here: Here) -> None:
    code, said = here("-m", "cache=smoothcache", "cache.policy.alpha=0.1,0.3", "stage=cost", *FEW)
    assert code == 0, said
    records = [json.loads(path.read_text()) for path in tmp_path.glob("results/runs/adhoc/records/*.json")]
    assert len(records) == 3


def test_a_calibration_and_its_schedule(tmp_path: Path, here: Here) -> None:
    few = ["solver.steps=6", "calibration.num_samples=2"]
    assert here("stage=calibrate", "out=curves.npz", *few)[0] == 0
    with np.load(tmp_path / "curves.npz", allow_pickle=False) as data:
        assert data["l1_diff"].shape == (2, 12, 6, 3)
    made, _ = here("stage=calibrate", "out=plan.json", "cache=smoothcache", "cache.policy.alpha=9", *few)
    assert made == 0 and set(json.loads((tmp_path / "plan.json").read_text())) == {"_meta", "attn", "mlp"}
    used, said = here("cache=schedule", "cache.policy.path=plan.json", "stage=cost", "latency.rounds=0", *few)
    assert used == 0, said


def test_help_lists_what_there_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "smoothbench", "--help"]
    text = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240).stdout
    for option in ("dit_nano", "ddim", "smoothcache", "fora", "dit_ddim", "smoke"):
        assert option in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cache=nonsense"], "nonsense"),
        (["cache=smoothcache", "cache.policy.alpha=-0.1"], "alpha must be at least 0"),
        (["cache=schedule", "cache.policy.path=absent.json"], "absent.json: no such file"),
        (["model.path=/nowhere"], "/nowhere/config.json: no such file"),
        (["cache.policy.no_such_key=1"], "no_such_key"),
        (["+exp=nowhere"], "nowhere"),
        (["cache=smoothcache", "cache.policy.alpha=much"], "much"),
        (["stage=calibrate"], "out=FILE goes with"),
        (["num_samples=["], "no viable alternative"),
        (["hydra.job.chdir=sometimes"], "is not a valid bool"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert message in refusal_of(arguments, tmp_path, monkeypatch, capfd)
    assert not list(tmp_path.rglob("*.png"))


def test_a_failed_point_is_exit_code_1(tmp_path: Path, here: Here) -> None:
    (tmp_path / "two.json").write_text('{"attn": [1, 0], "mlp": [1, 1]}')
    code, said = here("cache=schedule", "cache.policy.path=two.json", "stage=cost", *FEW)
    assert code == 1
    assert "has 2 evaluations, but the solver makes 4" in said
    assert said.strip().splitlines()[-1].startswith("error: 1 of 2 points failed")


def test_the_mechanism_imports_without_the_harness_and_leaves_packages_of_our_names_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "metrics.py").write_text("mine = True\n")
    code = (
        "import sys\n"
        "for name in ('hydra', 'omegaconf', 'diffusers', 'pandas', 'matplotlib'): sys.modules[name] = None\n"
        "import smoothbench.caching, metrics\n"
        "assert metrics.mine\n"
        "print(smoothbench.caching.SmoothCache(alpha=0.1))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("SmoothCache(") and "alpha=0.1" in done.stdout
