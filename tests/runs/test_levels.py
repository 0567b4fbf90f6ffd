"""Methods at other levels than branches, through a whole run to their records."""

import json
from pathlib import Path
from typing import Any

import pytest

from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from smoothbench.report import write
from smoothbench.results import load
from smoothbench.running.calibrate_or_train import save_plan
from tests.support.compose import composed, experiment
from tests.support.runs import files, limited, read, small_policy

SMALL = ("metrics=[psnr]", "num_samples=4", "solver.steps=8", "batch_size=4", "calibration.num_samples=2")
SWEEPS = {"smoothcache": {"cache.policy.alpha": [1.0]}}


def levels(level: str) -> list[str]:
    return [f"points.{point}.cache.policy.level={level}" for point in ("fora", "smoothcache", "taylor")]


@pytest.mark.parametrize("level", ["span", "denoiser"])
def test_methods_at_other_levels(tmp_path: Path, level: str, caplog: pytest.LogCaptureFixture) -> None:
    asked = (*SMALL, "only=[fora,smoothcache,taylor]", *levels(level))
    experiment(tmp_path, *asked, sweeps=SWEEPS).run()
    records = read(tmp_path)
    name = {"span": "blocks.0-5.span", "denoiser": "denoiser"}[level]
    assert len(records) == 4 and {r["status"]["quality"] for r in records.values()} == {"done"}
    others = [record for record in records.values() if not record["reference"]]
    for record in others:
        assert record["schedule"]["sites"] == [name] and "0" in record["schedule"]["rows"]
        assert 0.3 < record["cost"]["share"] < 0.8 and record["cost"]["paper"] is None
        assert record["scores"]["psnr@4"]["value"] < 60
        evals = len(record["schedule"]["rows"])
        full = record["schedule"]["rows"].count("1")
        rest = record["cost"]["by_kind"]["rest"]
        assert (rest == 0) == (level == "denoiser")
        assert record["cost"]["by_kind"][level] * evals == (720345600 * evals // 10 - rest) * full
    assert len({record["sample_id"] for record in records.values()}) == 4
    curves = [path.stem for path in (tmp_path / "runs/smoke/curves").glob("*.npz")]
    assert len(curves) == 1
    caplog.clear()
    with caplog.at_level("INFO"):
        experiment(tmp_path, *asked, sweeps=SWEEPS).run()
    assert "all done before: nothing to run" in caplog.text
    if level == "denoiser":
        return
    write(tmp_path / "runs/smoke")
    assert (tmp_path / "runs/smoke/report.html").exists()
    point = load(tmp_path / "runs/smoke").point("fora-interval=2")
    assert point.schedule is not None and point.schedule.sites == (name,)
    assert point.rebuild().trajectory.share(point.schedule) == pytest.approx(
        records["fora-interval=2"]["cost"]["share"]
    )


def test_a_level_does_not_change_what_branches_have(tmp_path: Path) -> None:
    """The ids of branches are those of a configuration that knows no level; another level has ids of its own."""
    plans = {
        level: experiment(
            tmp_path / level, *SMALL, "only=[fora]", f"points.fora.cache.policy.level={level}"
        ).bench
        for level in ("branch", "span", "denoiser")
    }
    points = {level: bench.points[1] for level, bench in plans.items()}
    assert "level" not in points["branch"].described["policy"]["parameters"]
    assert points["span"].described["policy"]["parameters"]["level"] == "span"
    assert len({point.sample_id for point in points.values()}) == 3
    assert len({bench.reference.sample_id for bench in plans.values()}) == 1


def test_no_cache_is_the_same_at_every_level(tmp_path: Path) -> None:
    point, once = "points.fora.cache.policy.level=span", {"fora": {"cache.policy.interval": [1]}}
    bench = experiment(tmp_path, *SMALL, "only=[fora]", point, sweeps=once).bench
    assert bench.points[1].sample_id == bench.reference.sample_id and bench.points[1].same_as == "reference"


def test_some_of_the_branches_are_other_sites_than_all(tmp_path: Path) -> None:
    """Two choices of as many branches, with the same bits, have other samples and other curves."""
    points = [small_policy(kind, "OneKind", kind=kind, interval=2) for kind in ("self_attn", "ff")]
    bench = experiment(tmp_path, *SMALL, *points, "only=[self_attn,ff]").bench
    first, second = bench.points[1:]
    assert first.policy.bit_strings() == second.policy.bit_strings()  # type: ignore[union-attr]
    assert (
        first.sample_id != second.sample_id and first.trajectory.rest_macs > second.trajectory.rest_macs > 0
    )


def test_batches_are_halved_at_span_level(tmp_path: Path) -> None:
    asked = (*SMALL, "only=[fora]", "points.fora.cache.policy.level=span")
    experiment(tmp_path / "plain", *asked).run()
    limited(experiment(tmp_path / "limited", *asked), 4).run()
    assert files(tmp_path / "limited") == files(tmp_path / "plain")
    record = read(tmp_path / "limited")["fora-interval=2"]
    assert record["cost"]["batches_halved"] == 1 and record["schedule"]["sites"] == ["blocks.0-5.span"]


def test_curves_and_schedules_of_spans_are_saved(tmp_path: Path) -> None:
    def saved(file: str, *more: str) -> Path:
        few = (f"results_dir={tmp_path}", "device=cpu", "solver.steps=8", "calibration.num_samples=2")
        return save_plan(settings(composed("stage=calibrate", f"out={tmp_path / file}", *few, *more)))

    cache = ("cache=smoothcache", "cache.policy.alpha=1")
    at_span = (*cache, "cache.policy.level=span")
    schedule: dict[str, Any] = json.loads(saved("span.json", *at_span).read_text())
    assert set(schedule) == {"_meta", "span-0-5"} and 0 < sum(schedule["span-0-5"]) < 8
    again = saved("again.json", "cache=schedule", f"cache.policy.path={tmp_path / 'span.json'}")
    assert json.loads(again.read_text()) == schedule
    assert saved("curves.npz", *at_span).stat().st_size < 10_000
    with pytest.raises(UsageError, match=r"level is 'denoiser', 'span', 'branch', not 'block'"):
        saved("wrong.json", *cache, "cache.policy.level=block")
