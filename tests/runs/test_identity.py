"""What counts as done, and what does not: identities, pairs, partial and forced runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import smoothbench.models.nano.image as nano
from baselines.saved import SavedSchedule
from smoothbench.errors import PointsFailed
from smoothbench.models.nano.image.evaluator import embedded
from smoothbench.report.data.frame import load
from smoothbench.storage.identity import identity
from tests.support.compose import experiment
from tests.support.runs import files, read, run


def test_a_point_is_scored_again_when_its_reference_changes(tmp_path: Path) -> None:
    before = run(tmp_path / "both", "only=[fewer]")["fewer-steps=5"]
    run(tmp_path / "both", "only=[fewer]", "solver.steps=4")
    fresh = run(tmp_path / "fresh", "only=[fewer]", "solver.steps=4")["fewer-steps=5"]
    paths = sorted((tmp_path / "both/runs/smoke/records").glob("fewer-steps=5-*"))
    found = {r["reference_id"]: r for r in (json.loads(path.read_text()) for path in paths)}
    assert len(found) == 2 and before["reference_id"] != fresh["reference_id"]
    for record in (before, fresh):  # each with its own pair
        assert found[record["reference_id"]]["scores"] == record["scores"]


def test_two_roles_of_one_point_keep_their_own_arrays(tmp_path: Path) -> None:
    run(tmp_path, "only=[fewer]")
    run(tmp_path, "only=[none]", "solver.steps=5")  # the reference is now what fewer-steps=5 was
    fewer = next(tmp_path.glob("runs/smoke/scores/fewer-steps=5-*.npz"))
    with np.load(fewer, allow_pickle=False) as arrays:
        assert {"psnr@6", "fd_nano@6", "seeds"} <= set(arrays)


@pytest.mark.parametrize("damage", ["deleted", "swapped"])
def test_the_references_samples_are_made_again_where_a_point_needs_them(tmp_path: Path, damage: str) -> None:
    run(tmp_path / "broken", "only=[fora]")
    samples = tmp_path / "broken/runs/smoke/samples" / read(tmp_path / "broken")["reference"]["sample_id"]
    if damage == "deleted":
        shutil.rmtree(samples)
    else:
        shutil.copy(samples / "000000001.png", samples / "000000000.png")
    after = run(tmp_path / "broken", "only=[taylor]")["taylor"]
    assert after == run(tmp_path / "fresh", "only=[taylor]")["taylor"]


def test_a_part_of_an_experiment_takes_nothing_away(tmp_path: Path) -> None:
    timed = ["latency.rounds=1", "latency.batch_size=1", "stage=cost"]
    run(tmp_path, *timed)
    latency, cost = (tmp_path / "runs/smoke" / name for name in ("latency.json", "cost.csv"))
    before = latency.read_bytes(), cost.read_bytes()
    records = run(tmp_path, *timed, "only=[taylor]")
    assert before == (latency.read_bytes(), cost.read_bytes())
    assert {r["order"] for r in records.values()} == {0, 2, 3, 4, 5, 6}


def test_latency_of_other_points_stays_with_its_own_pair(tmp_path: Path) -> None:
    timed = ["latency.rounds=1", "latency.batch_size=1", "stage=cost"]
    run(tmp_path, *timed, "only=[fora]")
    path = tmp_path / "runs/smoke/latency.json"
    fora = {p["name"]: p for p in json.loads(path.read_text())["points"].values()}["fora-interval=2"]
    run(tmp_path, *timed, "only=[fewer]")
    points = {p["name"]: p for p in json.loads(path.read_text())["points"].values()}
    assert set(points) == {"reference", "fora-interval=2", "fewer-steps=5"}
    assert points["fora-interval=2"] == fora
    assert points["fewer-steps=5"]["reference_seconds"] == points["reference"]["seconds"]


def test_a_template_that_says_none_but_skips_is_no_baseline(tmp_path: Path) -> None:
    bits = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    path = tmp_path / "edited.json"
    path.write_text(json.dumps({"_meta": {"method": "none"}, "attn": bits, "mlp": bits}))
    asked = [
        "+cache@points.saved.cache=schedule",
        f"points.saved.cache.policy.path={path}",
        "only=[saved]",
        "stage=cost",
    ]
    point = experiment(tmp_path, *asked).bench.points[1]
    assert not point.uncached and point.policy == SavedSchedule(str(path)).plan(point.trajectory)


def test_the_architecture_is_part_of_the_identity(tmp_path: Path) -> None:
    copy = tmp_path / "weights"
    shutil.copytree(Path(nano.__file__).parent / "dit", copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(
        json.dumps(config | {"num_attention_heads": 6, "attention_head_dim": 16})
    )
    ids = [
        experiment(tmp_path, "only=[none]", *path).bench.reference.sample_id
        for path in ([], [f"model.path={copy}"])
    ]
    assert ids[0] != ids[1]


def test_equal_numbers_are_equal_identities(tmp_path: Path) -> None:
    assert identity({"a": [1.0, 2]}) == identity({"a": [1, 2.0]}) != identity({"a": [1.5, 2]})
    assert identity(float("inf"))
    ids = [
        experiment(tmp_path, "only=[none]", g).bench.reference.sample_id
        for g in ("model.guidance=2", "model.guidance=2.0")
    ]
    assert ids[0] == ids[1]


def test_other_reference_statistics_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    shutil.copy(embedded("evaluator/reference.npz"), path)
    asked = ["only=[none]", f"model.evaluation.reference.file={path}"]
    before = run(tmp_path, *asked)["reference"]["scores"]["fd_nano@6"]["value"]
    with np.load(path, allow_pickle=False) as data:
        statistics = dict(data)
    np.savez(path, **(statistics | {"mu": statistics["mu"] + 1}))
    assert run(tmp_path, *asked)["reference"]["scores"]["fd_nano@6"]["value"] > before + 10


def test_a_poorer_run_takes_nothing_from_a_record(tmp_path: Path) -> None:
    full = run(tmp_path, "only=[fora]")
    assert run(tmp_path, "only=[fora]", "stage=cost", "force=true") == full
    after = run(tmp_path, "only=[fora]", "metrics=psnr", "metrics.psnr.metric.cap=50")["fora-interval=2"]
    assert set(after["scores"]) == set(full["fora-interval=2"]["scores"])
    arrays = next(tmp_path.glob("runs/smoke/scores/fora*.npz"))
    with np.load(arrays, allow_pickle=False) as data:
        assert set(data) == {"seeds", *after["scores"]}


def test_force_generates_again(tmp_path: Path) -> None:
    run(tmp_path, "only=[fora]")
    before = files(tmp_path)
    written = {p: p.stat().st_mtime_ns for p in tmp_path.glob("runs/smoke/samples/*/*.png")}
    run(tmp_path, "only=[fora]", "force=true")
    assert files(tmp_path) == before
    assert all(p.stat().st_mtime_ns > then for p, then in written.items())


def test_a_failure_in_sampling_keeps_the_cost(tmp_path: Path) -> None:
    with pytest.raises(PointsFailed):
        experiment(tmp_path, "only=[fora]", "model.guidance=1e38").run()
    records = read(tmp_path)
    failed, skipped = records["reference"], records["fora-interval=2"]
    assert failed["status"] == {"quality": "failed", "cost": "done"} and failed["cost"]["macs"] > 0
    assert "samples are not finite" in failed["reason"]
    assert skipped["status"] == {"quality": "skipped", "cost": "done"} and skipped["cost"]["macs"] > 0
    assert skipped["reason"] == "reference failed, its pair"


def test_a_truncated_array_file_is_made_again(tmp_path: Path) -> None:
    full = run(tmp_path, "only=[fora]")
    path = next(tmp_path.glob("runs/smoke/scores/fora*.npz"))
    data = path.read_bytes()
    path.write_bytes(data[:200])
    assert run(tmp_path, "only=[fora]") == full and path.read_bytes() == data


def test_a_damaged_latency_is_measured_again(tmp_path: Path) -> None:
    timed = ["latency.rounds=1", "latency.batch_size=1", "stage=cost", "only=[fora]"]
    run(tmp_path, *timed)
    path = tmp_path / "runs/smoke/latency.json"
    content = json.loads(path.read_text())
    next(iter(content["points"].values()))["seconds"] = "soon"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"cannot be read .*: remove it, and with stage=latency measure"):
        load(tmp_path / "runs/smoke")
    run(tmp_path, *timed)
    assert load(tmp_path / "runs/smoke")["latency"].notna().all()
