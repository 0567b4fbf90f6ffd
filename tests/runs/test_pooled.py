"""What must not be mixed, hidden or lost when records are merged, forced, superseded or shown."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

import smoothbench.sampling.calibrate_point
from smoothbench.cli import job
from smoothbench.errors import PointsFailed
from smoothbench.report.data.frame import load
from smoothbench.storage.results_folder import Store
from tests.support.compose import composed, experiment
from tests.support.runs import change, pooled, read, run

FEW = "metrics=[fd_nano,psnr]"


@pytest.fixture(scope="module")
def one_block(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the first seed block, to be copied."""
    folder = tmp_path_factory.mktemp("one")
    run(folder, FEW, "only=[fora]")
    return folder


@pytest.fixture(scope="module")
def two_blocks(one_block: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two seed blocks, pooled, to be copied."""
    folder = Path(copytree(one_block, tmp_path_factory.mktemp("two"), dirs_exist_ok=True))
    run(folder, FEW, "only=[fora]", "seed=1")
    return folder


def test_a_point_that_is_another_runs_reference_is_pooled_in_each_role(tmp_path: Path) -> None:
    for seed in (0, 1):
        run(tmp_path, FEW, "only=[fewer]", f"seed={seed}")
    run(tmp_path, FEW, "only=[fora]", "solver.steps=5")  # whose reference is the point fewer-steps=5
    run(tmp_path, FEW, "only=[fewer]", "seed=2")
    assert [start for start, _ in pooled(tmp_path)["fewer-steps=5"]["seeds"]] == [0, 10**6, 2 * 10**6]
    shown = load(tmp_path / "runs/smoke")
    of_five_steps = shown[shown["steps"] == 5]
    assert sorted(of_five_steps["reference"]) == [False, False, True]
    assert not shown.attrs["ignored"]


def test_parts_that_are_paired_with_another_reference_are_not_merged(tmp_path: Path) -> None:
    for steps in (6, 4):
        for seed in (0, 1):
            run(tmp_path, FEW, "only=[fewer]", f"solver.steps={steps}", f"seed={seed}")
    paths = tmp_path.glob("runs/smoke/records/*.json")
    records = {record["point_id"]: record for record in (json.loads(path.read_text()) for path in paths)}
    merged = [record for record in records.values() if record["parts"]]
    uncached = {record["reference_id"]: record for record in merged if record["reference"]}
    points = [record for record in merged if not record["reference"]]
    assert len(uncached) == len(points) == 2
    for record in points:
        pairs = [records[part]["sample_id"] for part in uncached[record["reference_id"]]["parts"]]
        assert [records[part]["reference_id"] for part in record["parts"]] == pairs


def test_force_leaves_no_score_of_before(tmp_path: Path) -> None:
    run(tmp_path, "metrics=[fd_nano,is_nano,psnr]", "only=[fora]")
    before = set(tmp_path.glob("runs/smoke/observations/*/*.npz"))
    after = run(tmp_path, "metrics=[fd_nano]", "only=[fora]", "force=true")
    assert all(set(record["scores"]) == {"fd_nano@6"} for record in after.values())
    assert set(tmp_path.glob("runs/smoke/observations/*/*.npz")) < before


def test_a_part_that_failed_since_is_not_hidden(tmp_path: Path, two_blocks: Path) -> None:
    folder = Path(copytree(two_blocks, tmp_path, dirs_exist_ok=True)) / "runs/smoke"
    assert sorted(load(folder)["num_samples"]) == [12, 12]
    part = next(p for p in folder.glob("records/fora*") if json.loads(p.read_text())["seeds"] == [[0, 6]])
    status = {"quality": "failed", "cost": "done"}
    change(part, status=status, reason="a bit flipped", scores={})
    shown = load(folder)
    fora = shown[shown["name"] == "fora-interval=2"]
    assert sorted(fora["status"]) == ["done", "failed"] and set(fora["num_samples"]) == {6}


def test_lost_rows_of_another_block_stop_nothing(
    tmp_path: Path, one_block: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = read(copytree(one_block, tmp_path, dirs_exist_ok=True))["fora-interval=2"]
    for path in (tmp_path / "runs/smoke/observations" / first["sample_id"]).glob("*.npz"):
        path.unlink()
    run(tmp_path, FEW, "only=[fora]", "seed=1")
    assert "features of seeds 0-6 are lost: run them again" in caplog.text and not pooled(tmp_path)
    run(tmp_path, FEW, "only=[fora]")
    assert len(pooled(tmp_path)) == 2


def test_a_pool_is_made_again_when_a_part_was(tmp_path: Path, two_blocks: Path) -> None:
    copytree(two_blocks, tmp_path, dirs_exist_ok=True)
    path = next(p for p in (tmp_path / "runs/smoke/records").glob("fora*") if pooled_record(p))
    right = json.loads(path.read_text())["scores"]
    stale = {name: entry | {"value": 0.0, "blocks": [0.0, 0.0]} for name, entry in right.items()}
    change(path, scores=stale)
    run(tmp_path, FEW, "only=[fora]")
    assert json.loads(path.read_text())["scores"] == right


def pooled_record(path: Path) -> bool:
    return bool(json.loads(path.read_text())["parts"])


def test_a_metric_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smoothbench.running.experiment.check_count", lambda *_: None)  # it would be refused
    with pytest.raises(PointsFailed):
        experiment(tmp_path, "metrics=[psnr,fd_inf_nano]", "only=[fora]", "num_samples=2").run()
    record = read(tmp_path)["reference"]
    assert record["status"] == {"quality": "failed", "cost": "done"}
    assert record["reason"].startswith("fd_inf_nano: FrechetExtrapolated needs at least 3 samples")
    with pytest.raises(PointsFailed):
        experiment(tmp_path / "b", "metrics=[is_nano,fd_inf_nano]", "only=[fora]", "num_samples=2").run()
    assert set(read(tmp_path / "b")["reference"]["scores"]) == {"is_nano@2"}


def test_points_that_cannot_be_calibrated_stay_apart_and_go_when_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = {"calibration.num_samples": [1, 2], "calibration.draw": [0, 1], "cache.policy.alpha": [0.3]}

    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no calibration today")

    with monkeypatch.context() as patched:
        patched.setattr(smoothbench.sampling.calibrate_point, "calibrate", broken)
        with pytest.raises(
            PointsFailed, match="nothing is drawn, as any of the 4 points cannot be: no calibration today"
        ):
            experiment(tmp_path, FEW, "only=[smoothcache]", sweeps={"smoothcache": sweep}).run()
    assert len(list(tmp_path.glob("runs/smoke/records/smoothcache*"))) == 4
    mended = run(tmp_path, FEW, "only=[smoothcache]", smoothcache=sweep)
    assert all(record["status"]["quality"] == "done" for record in mended.values())
    assert len(list(tmp_path.glob("runs/smoke/records/smoothcache*"))) == 4


def test_the_report_hides_no_error_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = tmp_path / "runs/smoke/records"
    records.mkdir(parents=True)
    (records / "old.json").write_text('{"schema": 1}')  # all that a report would find
    with pytest.MonkeyPatch.context() as patched:
        usage = type("Usage", (), {"free": 100})()
        patched.setattr("smoothbench.running.estimate.shutil.disk_usage", lambda path: usage)
        small = ("num_samples=4", "latency.rounds=0", "only=[fora]", FEW, f"results_dir={tmp_path}")
        assert job(composed("+exp=smoke", *small)) == 2
    assert "GB free, but the samples need" in capsys.readouterr().err


@pytest.mark.parametrize("others", [True, False])
def test_uncached_samples_stay_while_another_process_may_need_them(tmp_path: Path, others: bool) -> None:
    running = experiment(tmp_path, FEW, "only=[fora]", "keep_samples=false")
    other = Store(tmp_path / "runs/smoke").enter() if others else None
    running.run()
    left = list((tmp_path / "runs/smoke/samples" / running.bench.reference.sample_id).glob("*.png"))
    assert len(left) == (6 if others else 0)
    if other:
        other.leave()


DYNAMIC = """
class EverySecond:
    def decide(self, evaluation):
        return [evaluation.e % 2 == 0] * len(evaluation.sites)
"""


def test_a_dynamic_policy_is_costed_by_what_it_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dynamic_second.py").write_text(DYNAMIC)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/dynamic_second.yaml").write_text(
        "policy: {_target_: dynamic_second.EverySecond}\npredictor: reuse\nfamily: dynamic\nlabel: dynamic\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = (f"hydra.searchpath=[file://{tmp_path}]", "+cache@points.new.cache=dynamic_second", FEW)
    planned = run(tmp_path / "cost", *asked, "only=[new]", "stage=cost")["new"]
    assert planned["status"] == {"quality": "skipped", "cost": "skipped"} and planned["cost"] is None
    records = run(tmp_path, *asked, "only=[new,fora]")
    cost, fora = records["new"]["cost"], records["fora-interval=2"]["cost"]
    half = records["reference"]["cost"]["macs"] / 2
    assert cost["macs"] < fora["macs"] and cost["macs"] - half < 0.03 * half  # FORA computes the last one too
    assert cost["macs_linear"] < cost["macs"] == sum(cost["by_kind"].values())
    assert cost["share"] == pytest.approx(cost["macs"] / (2 * half)) and not records["new"]["degenerate"]


def test_out_of_memory_fails_a_dynamic_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.runs import limited

    (tmp_path / "dynamic_third.py").write_text(DYNAMIC)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/dynamic_third.yaml").write_text(
        "policy: {_target_: dynamic_third.EverySecond}\npredictor: reuse\nfamily: dynamic\nlabel: dynamic\n"
    )
    asked = (f"hydra.searchpath=[file://{tmp_path}]", "+cache@points.new.cache=dynamic_third", FEW)
    with pytest.raises(PointsFailed, match="1 of 2 points failed: new"):
        limited(experiment(tmp_path, *asked, "only=[new]"), rows=4).run()
    reason = read(tmp_path)["new"]["reason"]
    assert reason.startswith("a batch of 4 does not fit: choose a smaller batch_size (CUDA out of memory.")


PERIODIC = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Periodic:
    period: int
    def decide(self, evaluation):
        return [evaluation.e % self.period == 0] * len(evaluation.sites)
"""


def test_a_cost_that_only_the_run_tells_stays_beside_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "periodic_of_user.py").write_text(PERIODIC)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/periodic.yaml").write_text(
        "policy: {_target_: periodic_of_user.Periodic, period: 2}\npredictor: reuse\nfamily: a\nlabel: a\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = (f"hydra.searchpath=[file://{tmp_path}]", "+cache@points.new.cache=periodic", FEW, "only=[new]")
    run(tmp_path, *asked, "stage=cost")
    run(tmp_path, *asked, "points.new.cache.policy.period=3")
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/smoke/records/new-*.json")]
    assert sorted(record["status"]["cost"] for record in records) == ["done", "skipped"]
