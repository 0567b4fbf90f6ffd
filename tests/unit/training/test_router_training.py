"""Training a router: its objective, its training data, and that a stopped training goes on."""

import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from baselines.router_training import RouterTraining, distillation
from smoothbench.caching import Schedule, cached
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.cli import job
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import UsageError
from smoothbench.planning.plan import trajectory_of
from smoothbench.protocols import BLOCK, Model
from smoothbench.sampling.loop import latents, silent
from smoothbench.training.teacher_windows import OwnTrajectories, TrainingLatents, teacher_windows
from tests.support.compose import composed
from tests.support.solve import no_noise

SMALL = ("training.trajectories=4", "training.batch_size=3", "solver.steps=6")


def windows(folder: Path, *overrides: str) -> Any:
    """Training windows of the embedded model, for six evaluations."""
    plan = settings(composed("cache=l2c", "stage=train", "out=x.safetensors", *SMALL, *overrides))
    model = build_model(plan.model, torch.device("cpu"))
    solver, trajectory = trajectory_of(plan.specs[-1], model, measured_sites(*model.skeleton()))
    return teacher_windows(model, solver, trajectory, plan.training)


@pytest.fixture(scope="module")
def own_trajectories(tmp_path_factory: pytest.TempPathFactory) -> OwnTrajectories:
    return windows(tmp_path_factory.mktemp("own"))  # type: ignore[no-any-return]


def window(of: Any, start: int, length: int) -> Sequence[Any]:
    return of.window(start, length, torch.Generator().manual_seed(0))  # type: ignore[no-any-return]


def errors(of: Any, weight: float, start: int = 2, length: int = 2) -> float:
    sites = of.trajectory.sites
    scores = [torch.full((len(sites),), weight) for _ in range(length - 1)]
    with torch.no_grad():
        return float(distillation(of.denoiser, sites, window(of, start, length), scores))


def test_what_computes_everything_has_no_error(own_trajectories: OwnTrajectories) -> None:
    assert errors(own_trajectories, 1.0) == 0 < errors(own_trajectories, 0.5) < errors(own_trajectories, 0.0)


@pytest.mark.parametrize("length", [2, 3])
def test_what_keeps_everything_has_the_error_of_reusing(
    own_trajectories: OwnTrajectories, length: int
) -> None:
    """Scores of 0 are what the engine does where it reuses every branch."""
    forwards = window(own_trajectories, 2, length)
    rows = [True] + [False] * (length - 1)
    schedule = Schedule.steps(own_trajectories.trajectory.sites, rows, {"method": "kept"})
    with torch.no_grad():
        computed = [forward() for forward in forwards]
        with cached(own_trajectories.denoiser, schedule) as run:
            reused = []
            for e, forward in enumerate(forwards):
                run.step(e)
                reused.append(forward())
    expected = sum(float((a - b).square().mean()) for a, b in zip(computed, reused, strict=True))
    assert errors(own_trajectories, 0.0, 2, length) == pytest.approx(expected, rel=1e-4)


def test_own_windows_are_at_states_of_the_model_s_trajectories(own_trajectories: OwnTrajectories) -> None:
    model: Model = own_trajectories.model
    seen: list[torch.Tensor] = []
    original = model.predict
    model.predict = lambda x, *rest: (seen.append(x.clone()), original(x, *rest))[1]  # type: ignore[method-assign]
    seeds = range(998 * BLOCK, 998 * BLOCK + 4)
    latents(model, own_trajectories.solver, seeds, silent)
    model.predict = original  # type: ignore[method-assign]
    torch.testing.assert_close(own_trajectories.inputs, torch.stack(seen), rtol=0, atol=1e-4)


def test_a_share_of_the_rows_has_the_null_condition(own_trajectories: OwnTrajectories) -> None:
    classes = torch.zeros(2000, dtype=torch.long)
    dropped = own_trajectories.drop_labels(classes, torch.Generator().manual_seed(0))
    assert set(dropped.tolist()) == {0, 10} and 0.07 < (dropped == 10).double().mean() < 0.13


def test_training_latents_follow_the_solver_without_guidance(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = {"latents": rng.normal(size=(5, 1, 28, 28)).astype(np.float32), "labels": np.arange(5)}
    np.savez(tmp_path / "data.npz", **content)
    of = windows(tmp_path, f"training.latents={tmp_path / 'data.npz'}", "training.dropout=0")
    assert isinstance(of, TrainingLatents)
    forwards = window(of, 2, 2)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(5, (3,), generator=generator)
    torch.rand(3, generator=generator)
    clean, labels = torch.from_numpy(content["latents"])[rows], rows
    start = of.solver.diffuse(clean, 2, torch.randn(clean.shape, generator=generator))
    with torch.no_grad():
        output = of.model.output(start, of.trajectory.coordinates[2], labels)
        there = of.solver.step(2, start, output, no_noise)
        expected = of.model.output(there, of.trajectory.coordinates[3], labels)
        torch.testing.assert_close(forwards[1](), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("wrong", ["missing", "shape", "nan", "labels", "solver"])
def test_training_latents_that_do_not_fit(wrong: str, tmp_path: Path) -> None:
    values = np.zeros((3, 1, 28, 27 if wrong == "shape" else 28), np.float32)
    values[0, 0, 0, 0] = np.nan if wrong == "nan" else 0
    if wrong != "missing":
        np.savez(tmp_path / "data.npz", latents=values, labels=np.zeros(2 if wrong == "labels" else 3, int))
    more = ["solver=euler"] if wrong == "solver" else []
    with pytest.raises(
        UsageError,
        match=r"Euler cannot start from a diffused latent" if more else r"training.latents=.*data.npz",
    ):
        windows(tmp_path, f"training.latents={tmp_path / 'data.npz'}", *more)


def share(data: bytes) -> float:
    logits = load(data)["logits"]
    return float(torch.sigmoid(logits[~logits.isnan()]).mean())


@pytest.mark.slow
def test_the_penalty_decides_how_much_is_computed(own_trajectories: OwnTrajectories, tmp_path: Path) -> None:
    shares = [
        share(
            RouterTraining(penalty, steps=15, lr=0.3).fit(own_trajectories, str(tmp_path / f"{penalty}.pt"))
        )
        for penalty in (0.0, 1e-4, 1.0)
    ]
    assert shares[0] > shares[1] > shares[2] and shares[2] < 0.1


@pytest.mark.parametrize("interval", [2, 3])
@pytest.mark.slow
def test_a_stopped_training_goes_on_to_the_same_router(
    interval: int, own_trajectories: OwnTrajectories, tmp_path: Path
) -> None:
    training = RouterTraining(1e-4, interval, steps=4, lr=0.1)
    whole = training.fit(own_trajectories, str(tmp_path / "whole.pt"), every=3)
    part = RouterTraining(1e-4, interval, steps=2, lr=0.1)
    part.fit(own_trajectories, str(tmp_path / "part.pt"), every=3)
    assert training.fit(own_trajectories, str(tmp_path / "part.pt"), every=3) == whole
    logits = load(whole)["logits"]
    full = [e for e in range(6) if logits[e].isnan().all()]
    assert full == list(range(0, 6, interval)) and int(logits.isnan().sum()) == len(full) * 12


def as_if_written_on(device: str, path: Path) -> None:
    """Say in a checkpoint that its tensors lay on another device, as torch.save does there."""
    with zipfile.ZipFile(path) as file:
        records = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, data in records.items():
            if name.endswith("data.pkl"):
                here, there = (
                    b"X" + struct.pack("<I", len(each)) + each for each in (b"cpu", device.encode())
                )
                assert here in data
                data = data.replace(here, there)
            file.writestr(name, data)


@pytest.mark.slow
def test_a_training_goes_on_from_what_another_device_wrote(
    own_trajectories: OwnTrajectories, tmp_path: Path
) -> None:
    """A checkpoint of a second GPU, where there is none: it is no damaged one."""
    training, path = RouterTraining(1e-4, steps=4, lr=0.1), tmp_path / "part.pt"
    whole = training.fit(own_trajectories, str(tmp_path / "whole.pt"), every=3)
    RouterTraining(1e-4, steps=2, lr=0.1).fit(own_trajectories, str(path), every=3)
    as_if_written_on("cuda:1", path)
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(path, weights_only=True)
    assert training.fit(own_trajectories, str(path), every=3) == whole


def test_a_checkpoint_that_cannot_be_opened_is_not_removed(
    own_trajectories: OwnTrajectories, tmp_path: Path
) -> None:
    """Only what can be read and is nonsense is damaged."""
    # a folder, for what a broken disk or lacking rights would say
    (tmp_path / "link.pt").symlink_to(tmp_path)
    with pytest.raises(OSError):
        RouterTraining(steps=1).fit(own_trajectories, str(tmp_path / "link.pt"))
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="was damaged and is removed"):
        RouterTraining(steps=1).fit(own_trajectories, str(tmp_path / "cut.pt"))
    assert (tmp_path / "link.pt").is_symlink() and not (tmp_path / "cut.pt").exists()


def test_training_leaves_no_trace_on_the_model(own_trajectories: OwnTrajectories, tmp_path: Path) -> None:
    x, y = torch.randn(2, 1, 28, 28), torch.tensor([1, 2])
    with torch.no_grad():
        before = own_trajectories.model.output(x, 500.0, y)
        RouterTraining(steps=1).fit(own_trajectories, str(tmp_path / "c.pt"))
        assert torch.equal(own_trajectories.model.output(x, 500.0, y), before)


@pytest.mark.parametrize("wrong", [{"interval": 1}, {"steps": 0}, {"penalty": -1.0}, {"lr": 0.0}])
def test_settings_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a router's training needs interval >= 2"):
        RouterTraining(**wrong)


@pytest.mark.slow
def test_trained_then_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = ["stage=train", "cache=l2c", "out=own.safetensors", *SMALL, "cache.training.steps=2"]
    assert job(composed(*made)) == 0
    few = ["num_samples=2", "latency.rounds=0", "metrics=[psnr]", "solver.steps=6"]
    assert job(composed("cache=l2c", "cache.policy.router=own.safetensors", *few)) == 0
    assert len(list(tmp_path.glob("results/runs/adhoc/records/*.json"))) == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stage=train", "out=x.npz", "cache=l2c"], "needs out=FILE.safetensors"),
        (["stage=train", "out=x.safetensors", "cache=fora"], "learns nothing; cache=l2c does"),
        (["stage=train", "cache=l2c"], "out=FILE goes with"),
        (["stage=train", "out=x.safetensors", "+exp=smoke"], "takes one point"),
        (["training.seed=0"], "must be a seed block of its own"),
        (["training.dropout=2"], "training.dropout=2"),
        (["training.latents=3"], "training.latents=3"),
    ],
)
def test_what_cannot_be_trained(
    overrides: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job(composed(f"results_dir={tmp_path}", *overrides)) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
