"""Experiments end to end on the embedded model: resume, failures, identities, extension."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest

from smoothbench.errors import PointsFailed
from smoothbench.report.tables.two_points import compare
from tests.support.compose import experiment
from tests.support.runs import files, read, run


@pytest.fixture(scope="module")
def smoke_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return folder


def test_every_point_is_done_scored_and_costed(smoke_results: Path) -> None:
    records = read(smoke_results)
    assert len(records) == 6
    for name, record in records.items():
        assert record["status"] == {"quality": "done", "cost": "done"}, name
        assert record["reference"] == (name == "reference")
        scores = {"fd_nano@6", "is_nano@6", "agreement_nano@6"}
        assert set(record["scores"]) == (scores if record["reference"] else scores | {"psnr@6", "ssim@6"})
        assert record["cost"]["macs"] > record["cost"]["macs_linear"] > 0
    assert records["fora-interval=2"]["cost"] == records["taylor"]["cost"]
    assert (
        records["taylor"]["scores"]["psnr@6"]["value"]
        > records["fora-interval=2"]["scores"]["psnr@6"]["value"]
    )
    assert records["smoothcache-alpha=0.3"]["scores"]["fd_nano@6"]["delta"]["se"] > 0


def test_the_cost_table_has_the_contracts_columns(smoke_results: Path) -> None:
    rows = list(csv.DictReader((smoke_results / "runs/smoke/cost.csv").open()))
    columns = "name,steps,tmacs_reported,tmacs_paper_convention,paper_scope,paper_rows,macs_linear,macs"
    assert ",".join(rows[0]) == columns
    by_name = {row["name"]: row for row in rows}
    assert int(by_name["reference"]["macs"]) == 2 * int(by_name["fewer-steps=5"]["macs"])


def test_two_points_in_pairs(smoke_results: Path) -> None:
    folder, record = smoke_results / "runs/smoke", read(smoke_results)["taylor"]
    lines = compare(folder, "taylor", "reference").splitlines()
    delta = record["scores"]["fd_nano@6"]["delta"]
    expected = f"{delta['value']:+.4g} [{delta['low']:+.4g}, {delta['high']:+.4g}]"
    assert expected in next(line for line in lines if "fd_nano@6" in line)
    assert any("psnr@6" in line for line in compare(folder, "taylor", "fora-interval=2").splitlines())
    with pytest.raises(ValueError, match="0 points are called nothing: choose by name of fewer"):
        compare(folder, "taylor", "nothing")


def test_what_exists_is_not_run_again(smoke_results: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = {p: p.stat().st_mtime_ns for p in smoke_results.rglob("records/*")}
    with caplog.at_level("INFO"):
        run(smoke_results)
    assert "6 points, all done before: nothing to run" in caplog.text
    assert before == {p: p.stat().st_mtime_ns for p in smoke_results.rglob("records/*")}


def test_damage_is_found_and_only_that_is_made_again(smoke_results: Path, tmp_path: Path) -> None:
    expected, samples = read(smoke_results), files(smoke_results)
    shutil.copytree(smoke_results, tmp_path / "copy")
    broken = tmp_path / "copy"
    records = sorted((broken / "runs/smoke/records").glob("*.json"))
    ids = [json.loads(path.read_text())["sample_id"] for path in records[:3]]
    records[0].unlink()
    (broken / "runs/smoke/samples" / ids[0] / "000000002.png").write_bytes(b"truncated")
    records[1].write_text(records[1].read_text()[:100])
    (broken / "runs/smoke/samples" / ids[1] / "manifest.jsonl").write_text("{")
    records[2].unlink()
    (broken / "runs/smoke/samples" / ids[2] / "000000005.png").unlink()
    for path in (broken / "runs/smoke/curves").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:99])
    assert run(broken) == expected and files(broken) == samples


def test_a_killed_run_of_a_former_layout_goes_on(smoke_results: Path, tmp_path: Path) -> None:
    """Manifests used to be one JSON, with the MACs of each batch, too: their samples are taken over, the rest drawn."""
    expected, samples = read(smoke_results), files(smoke_results)
    shutil.copytree(smoke_results, tmp_path / "copy")
    path = sorted((tmp_path / "copy/runs/smoke/samples").glob("*/manifest.jsonl"))[0]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    first, *others = sorted(path.parent.glob("*.png"))
    for file in others[3:]:  # as if it had been killed after the first batch
        file.unlink()
    digests = dict(zip([first.name] + [file.name for file in others[:3]], lines[0]["sha256"], strict=True))
    old = {"schema": 1, "sample_id": path.parent.name, "files": digests, "macs": {"000000000+4": 12}}
    path.with_name("manifest.json").write_text(json.dumps(old))
    path.unlink()
    (record,) = (
        each
        for each in (tmp_path / "copy/runs/smoke/records").glob("*.json")
        if json.loads(each.read_text())["sample_id"] == path.parent.name
    )
    record.unlink()
    shutil.rmtree(tmp_path / "copy/runs/smoke/observations" / path.parent.name)
    before = first.stat().st_mtime_ns
    assert run(tmp_path / "copy") == expected and files(tmp_path / "copy") == samples
    assert first.stat().st_mtime_ns == before, "a batch that is done is not drawn again"


def test_a_point_that_fails_is_a_record_and_the_others_go_on(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"attn": [1, 0], "mlp": [1, 1]}')
    point = [
        "+cache@points.saved.cache=schedule",
        f"points.saved.cache.policy.path={bad}",
        "only=[saved,fora]",
    ]
    with pytest.raises(PointsFailed, match="1 of 3 points failed: saved"):
        experiment(tmp_path, *point).run()
    records = read(tmp_path)
    assert records["saved"]["status"] == {"quality": "failed", "cost": "failed"}
    assert "has 2 evaluations, but the solver makes 10" in records["saved"]["reason"]
    assert records["fora-interval=2"]["status"]["quality"] == "done"
    with pytest.raises(PointsFailed):  # a failure is never taken for done
        experiment(tmp_path, *point).run()


def test_equal_schedules_are_generated_once(tmp_path: Path) -> None:
    sweep = {"cache.policy.interval": [10], "cache.policy.orientation": ["repository", "mirrored"]}
    records = run(tmp_path, "only=[fora]", fora=sweep)
    same = [r for r in records.values() if r["same_as"]]
    assert [r["name"] for r in same] == ["fora-interval=10-orientation=mirrored"]
    assert same[0]["same_as"] == "fora-interval=10-orientation=repository"
    assert len({r["point_id"] for r in records.values()}) == 3
    assert len(list(tmp_path.glob("runs/smoke/samples/*"))) == 2
    assert len({json.dumps(r["scores"]) for r in records.values() if not r["reference"]}) == 1


def test_cost_alone_draws_no_sample(tmp_path: Path) -> None:
    records = run(tmp_path, "stage=cost")
    assert all(r["status"] == {"quality": "skipped", "cost": "done"} for r in records.values())
    assert not files(tmp_path) and (tmp_path / "runs/smoke/cost.csv").exists()
    done = run(tmp_path, "only=[none]")
    assert done["reference"]["status"]["quality"] == "done"


def test_a_policy_that_skips_nothing_is_marked(tmp_path: Path) -> None:
    records = run(tmp_path, "only=[smoothcache]", smoothcache={"cache.policy.alpha": [0.0]})
    assert records["smoothcache-alpha=0.0"]["degenerate"] and not records["reference"]["degenerate"]
    assert records["smoothcache-alpha=0.0"]["same_as"] == "reference"


def test_latency_is_one_interleaved_stage_measured_whole(tmp_path: Path) -> None:
    overrides = ["latency.rounds=2", "latency.batch_size=2", "stage=cost", "only=[fora,fewer]"]
    run(tmp_path, *overrides)
    path = tmp_path / "runs/smoke/latency.json"
    latency = json.loads(path.read_text())
    points = {point["name"]: point for point in latency["points"].values()}
    assert set(points) == {"reference", "fora-interval=2", "fewer-steps=5"}
    assert all(len(point["seconds"]) == 2 and point["median"] > 0 for point in points.values())
    assert (
        points["fora-interval=2"]["cache_bytes"]
        == 2 * (4 * 49 * 96 * 4) + 4 * 28 * 28 * 4 + 2 * 4 * 8  # stream, sum, inputs
        and points["reference"]["cache_bytes"] == 0
    )
    written = path.stat().st_mtime_ns
    run(tmp_path, *overrides)
    assert path.stat().st_mtime_ns == written
    run(tmp_path, *overrides, "latency.rounds=3")
    assert path.stat().st_mtime_ns != written


def test_a_new_policy_is_one_file_and_one_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the README promises: nothing else changes."""
    (tmp_path / "every_second.py").write_text(
        "from smoothbench.caching import Schedule\n"
        "class EverySecond:\n"
        "    needs_curves = False\n"
        "    def plan(self, trajectory, curves=None):\n"
        "        full = [e % 2 == 0 for e in range(trajectory.evals)]\n"
        "        return Schedule.steps(trajectory.sites, full, {'method': 'every second'})\n"
    )
    group = tmp_path / "cache"
    group.mkdir()
    (group / "every_second.yaml").write_text(
        "policy: {_target_: every_second.EverySecond}\npredictor: reuse\nfamily: every second\nlabel: every second\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    records = run(
        tmp_path,
        f"hydra.searchpath=[file://{tmp_path}]",
        "+cache@points.new.cache=every_second",
        "only=[new]",
    )
    assert records["new"]["schedule"]["rows"] == ["1" * 12, "0" * 12] * 5
    assert "every_second" in sys.modules
