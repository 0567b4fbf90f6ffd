"""Shards of an experiment: the outcome is that of one process, byte for byte; what cannot be pooled is refused."""

import json
from pathlib import Path
from shutil import rmtree

import pytest
import torch

from smoothbench.cli import job
from smoothbench.config.expand import settings
from smoothbench.config.launcher import check_launcher
from smoothbench.config.shard import Shard, with_jobs
from smoothbench.errors import UsageError
from smoothbench.running.shards import last_shard
from smoothbench.storage.locks import locked
from smoothbench.storage.shard_folder import ShardFolder, environment
from tests.stress.kill import snapshot
from tests.support.compose import composed
from tests.support.shards import SCORED, TIMED, completes
from tests.support.warm_process import WarmProcess


def shard_folder(results: Path, name: str) -> Path:
    return results / "runs/smoke/shards/000000000-000000004" / name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one process leaves."""
    folder = tmp_path_factory.mktemp("whole")
    assert completes(folder, *SCORED)
    return snapshot(folder)


def test_shards_end_as_one_process(tmp_path: Path, whole: dict[str, str]) -> None:
    shards = [(*SCORED, "shards=3", f"shard={index}") for index in range(3)]
    assert [completes(tmp_path, *shards[index]) for index in (2, 0, 1)] == [False, False, True]
    assert snapshot(tmp_path) == whole
    assert not list(tmp_path.rglob("shards/*"))
    # nothing is left to draw
    assert [completes(tmp_path, *shard) for shard in shards] == [True, False, False]
    assert not list(tmp_path.rglob("shards/*")) and snapshot(tmp_path) == whole


def test_what_a_shard_lacks_is_drawn_again_and_nothing_else(tmp_path: Path, whole: dict[str, str]) -> None:
    assert not completes(tmp_path, *SCORED, "shards=2", "shard=0")
    note = json.loads((shard_folder(tmp_path, "0-of-2") / "shard.json").read_text())
    assert note["environment"]["torch"] == torch.__version__ and note["drawn"]
    (lost, *others) = sorted(shard_folder(tmp_path, "0-of-2").rglob("samples/*/*.png"))
    lost.unlink()
    rmtree(shard_folder(tmp_path, "0-of-2") / "observations" / lost.parent.name)  # written once all are drawn
    before = {path: path.stat().st_mtime_ns for path in others if path.parent != lost.parent}
    assert not completes(tmp_path, *SCORED, "shards=2", "shard=0")
    assert lost.exists() and all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert completes(tmp_path, *SCORED, "shards=2", "shard=1")
    assert snapshot(tmp_path) == whole


def test_samples_that_are_not_kept_are_drawn_once(tmp_path: Path) -> None:
    dropped = (*SCORED, "keep_samples=false", "only=[fora]")
    assert completes(tmp_path / "one", *dropped)
    for index in range(2):
        assert completes(tmp_path / "two", *dropped, "shards=2", f"shard={index}") == (index == 1)
    assert snapshot(tmp_path / "two") == snapshot(tmp_path / "one")
    assert not list((tmp_path / "two").rglob("samples/*/*.png"))


def test_the_last_shard_measures_latency_beside_nobody(tmp_path: Path) -> None:
    assert not completes(tmp_path, *TIMED, "shards=2", "shard=1")
    assert not list(tmp_path.rglob("latency.json"))
    assert completes(tmp_path, *TIMED, "shards=2", "shard=0")
    assert len(list(tmp_path.rglob("latency.json"))) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("torch", "1.0"),
        ("the code", "0123456789ab"),
        ("kind of device", "cuda"),
        ("device", "another"),
        ("number of threads", "77"),
    ],
)
def test_shards_of_different_origin_are_refused_by_name(
    tmp_path: Path, key: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    note = shard_folder(tmp_path, "0-of-2") / "shard.json"
    note.parent.mkdir(parents=True)
    origin = environment(torch.device("cpu"))
    note.write_text(json.dumps({"environment": origin | {key: value}}))
    assert job(composed(*SCORED, "shards=2", "shard=1", f"results_dir={tmp_path}")) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert line.startswith(f"error: shard 0 of 2 was drawn with {key} {value}, and here it is {origin[key]}")
    assert str(note.parent) in line and ("OMP_NUM_THREADS=77" in line) == ("threads" in key)
    assert not shard_folder(tmp_path, "1-of-2").exists() and not list(tmp_path.rglob("*.png"))


def test_a_shard_of_a_version_that_noted_more_is_refused(tmp_path: Path) -> None:
    shard = ShardFolder(tmp_path, range(4), 0, 2)
    shard.begin({"torch": "2", "another package": "1"})
    with pytest.raises(UsageError, match="0 of 2 was drawn with another package 1, and here it is None"):
        shard.check({"torch": "2"})


def test_two_launches_at_once_are_refused(tmp_path: Path) -> None:
    plan = settings(composed(*SCORED, "shards=2", "shard=1", f"results_dir={tmp_path}"))
    with locked(tmp_path / "runs/smoke", "shard-000000000-000000004-1-of-2"):
        with (
            pytest.raises(
                UsageError, match=r"shard 1 of 2: another process is at work on it in .*two launches"
            ),
            last_shard(plan),
        ):
            pass
        # while one completes the experiment, what comes late has nothing to do
        with locked(tmp_path / "runs/smoke", "completion-000000000-000000004"), last_shard(plan) as nothing:
            assert nothing is None
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("shards=4", "shard=0"), r"shards=4: 5 samples in batches of batch_size=2 make 3 shards at most"),
        (("shards=0", "shard=0"), r"shards=0: must be a whole number from 1"),
        (("shards=two", "shard=0"), r"shards=two: must be a whole number"),
        (("shards=3", "shard=3"), r"shard=3: of shards=3 there are 0 to 2"),
        (("shards=3",), r"shards=3: python -m smoothbench -m \.\.\. shards=3 starts a job for each"),
        (("shard=1",), r"shard=1: goes with shards=n"),
        (("shards=2", "shard=0", "force=true"), r"shards=2: does not go with force=true"),
        (("shards=2", "shard=0", "stage=cost"), r"shards=2: does not go with stage=cost"),
    ],
)
def test_shards_that_do_not_fit_are_one_clear_line(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings(composed(*SCORED, *overrides))


@pytest.mark.parametrize(("samples", "batch", "count"), [(50_000, 64, 8), (5, 2, 3), (256, 64, 4), (7, 1, 2)])
def test_shards_are_whole_batches_and_all_seeds(samples: int, batch: int, count: int) -> None:
    seeds = range(10**6, 10**6 + samples)
    parts = [Shard(index, count).seeds(seeds, batch) for index in range(count)]
    assert [seed for part in parts for seed in part] == list(seeds)
    assert all((part.start - seeds.start) % batch == 0 for part in parts)
    batches = [-(-len(part) // batch) for part in parts]
    assert max(batches) - min(batches) <= 1


def test_a_multirun_gets_a_job_for_each_shard() -> None:
    assert with_jobs(["-m", "shards=3"]) == ["-m", "shards=3", "shard=0,1,2"]
    assert with_jobs(["seed=1", "shards=2", "-m"]) == ["seed=1", "shards=2", "shard=0,1", "-m"]
    for as_it_is in (["shards=3"], ["-m", "shards=3", "shard=1"], ["-m", "seed=0,1"], ["-m", "shards=x"]):
        assert with_jobs(as_it_is) == as_it_is


@pytest.mark.parametrize(
    ("launcher", "plugin", "option"),
    [
        ("joblib", "hydra_joblib_launcher", "hydra.launcher.n_jobs=1"),
        ("submitit_local", "hydra_submitit_launcher", "hydra.launcher.timeout_min=10"),
    ],
)
def test_a_launcher_ends_as_one_process(
    tmp_path: Path, whole: dict[str, str], launcher: str, plugin: str, option: str
) -> None:
    pytest.importorskip(f"hydra_plugins.{plugin}", reason=f"hydra/launcher={launcher} is not installed")
    shards = ("-m", "shards=2", f"hydra/launcher={launcher}", option, f"results_dir={tmp_path}")
    process = WarmProcess(*shards, *SCORED)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "ConfigStore schema" not in errors
    assert {name: digest for name, digest in snapshot(tmp_path).items() if name != "table.csv"} == whole
    assert (tmp_path / "runs/smoke/report.md").exists()
    assert not list(tmp_path.rglob("runs/smoke/shards/*"))


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smoothbench.config.launcher.find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=r"hydra/launcher=ray is not installed here: pip install -e '\.\[ray\]'"
    ):
        check_launcher(["-m", "hydra/launcher=ray"])
    check_launcher(["-m", "hydra/launcher=basic"])
