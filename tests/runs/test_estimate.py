"""When a run says that it may end, and what that is made of."""

import json
import logging
import re
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench.caching.fast import sums
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model, build_solver
from smoothbench.errors import UsageError
from smoothbench.running.estimate import Work, _bytes, _file_bytes, clock_time
from smoothbench.running.todo import missing_evaluations
from smoothbench.sampling.loop import latents, silent
from smoothbench.storage.sample_files import Samples
from tests.support.compose import composed, experiment

FEW = ("metrics=[psnr]", "only=[fora]", "solver.steps=4", "num_samples=4")
TIMED = ("latency.rounds=2", "latency.warmup=1", "latency.batch_size=8")


def test_another_day_has_its_date() -> None:
    now = datetime(2026, 12, 31, 23, 50)
    assert clock_time(now + timedelta(minutes=9), now) == "23:59"
    assert clock_time(now + timedelta(minutes=20), now) == "2027-01-01 00:10"
    assert clock_time(now + timedelta(days=3), now) == "2027-01-03 23:50"


def work(folder: Path, *more: str) -> tuple[Any, Work]:
    running = experiment(folder, *FEW, *more)
    missing = {p.sample_id: (p, missing_evaluations(running.bench, p)) for p in running.bench.points}
    return running, Work(running.bench, list(missing.values()))


def test_decoding_and_metrics_are_part_of_it(tmp_path: Path) -> None:
    running, todo = work(tmp_path)
    (bound_metric,) = running.bench.scorer.metrics.values()
    decode, per_sample = running.bench.model.decode, bound_metric.metric.per_sample

    def slow_decode(x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05)
        return decode(x)  # type: ignore[no-any-return]

    def slow_metric(*inputs: torch.Tensor) -> torch.Tensor:
        time.sleep(0.1)
        return per_sample(*inputs)  # type: ignore[no-any-return]

    def finishing() -> float:
        return min(todo.finishing() for _ in range(3))  # a busy machine makes a measurement longer

    before = finishing()
    running.bench.model.decode, bound_metric.metric.per_sample = slow_decode, slow_metric
    after = finishing()
    assert after - before == pytest.approx(8 * 0.05 + 8 * 0.1, rel=0.4)  # of two points of four samples


def test_what_is_scored_alone_counts(tmp_path: Path) -> None:
    experiment(tmp_path, *FEW).run()
    _, todo = work(tmp_path, "metrics=[psnr,ssim]")
    assert todo.denoising() > 0 or todo.finishing() > 0
    _, done = work(tmp_path)
    assert done.denoising() == 0 == done.finishing()


def test_latency_alone_is_estimated_too(tmp_path: Path) -> None:
    assert work(tmp_path, "stage=cost", "latency.rounds=0")[1].denoising() == 0
    assert work(tmp_path / "alone", "stage=latency", *TIMED)[1].denoising() > 0


def test_the_line_says_what_it_leaves_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    running = experiment(tmp_path, *FEW)
    with caplog.at_level("INFO"):
        running.run()
    end = r"expected end (\d{4}-\d\d-\d\d )?\d\d:\d\d \(without pooling and the report\)$"
    assert any(re.search(end, line) for line in caplog.messages)


def test_an_estimate_that_cannot_be_made_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    running = experiment(tmp_path, *FEW)
    (bound_metric,) = running.bench.scorer.metrics.values()

    def refusing(*inputs: torch.Tensor) -> torch.Tensor:
        if len(inputs[0]) == 1:
            raise RuntimeError("needs two samples")
        return bound_metric.metric.__class__.per_sample(bound_metric.metric, *inputs)  # type: ignore[no-any-return]

    bound_metric.metric.per_sample = refusing
    with caplog.at_level("INFO"):
        running.run()
    left = "(without pooling and the report, decoding and metrics (needs two samples))"
    assert any(line.endswith(left) for line in caplog.messages)


def test_the_memory_of_caches_is_said_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most: sums that are added up ahead take less."""
    monkeypatch.setattr(sums, "AT_MOST", 0)
    caplog.set_level(logging.INFO)
    running = experiment(tmp_path, *FEW, "stage=all", *TIMED)
    running.run()
    said = re.search(r"([0-9.e+-]+) GB kept by caches", caplog.text)
    latency = json.loads((running.store.folder / "latency.json").read_text())
    kept = max(point["cache_bytes"] for point in latency["points"].values())  # at a batch of 8
    assert said is not None and float(said[1]) * 1e9 == pytest.approx(kept / 8 * 4, rel=0.01)


def test_the_estimate_is_said_before_anything_is_calibrated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asked = ("metrics=[psnr]", "only=[smoothcache]", "solver.steps=4", "num_samples=2", "batch_size=2")
    running = experiment(tmp_path, *asked, sweeps={"smoothcache": {"cache.policy.alpha": [0.1, 0.3]}})
    assert [point.uncalibrated for point in running.bench.points] == [False, True, True]
    assert not list(tmp_path.rglob("curves/*"))  # planning runs no model
    running.run()
    lines = [line for record in caplog.records if (line := record.getMessage())]
    (estimate,) = [i for i, line in enumerate(lines) if line.startswith("smoke: 3 points, 0 done, 3 to run")]
    (calibrating,) = [i for i, line in enumerate(lines) if line.startswith("calibrating: ")]
    assert estimate < calibrating
    assert ", 1 to calibrate first, " in lines[estimate] and "expected end at the latest" in lines[estimate]
    again = experiment(tmp_path, *asked, sweeps={"smoothcache": {"cache.policy.alpha": [0.1, 0.3]}})
    assert not any(point.uncalibrated for point in again.bench.points)
    assert [p.point_id for p in again.bench.points] == [p.point_id for p in running.bench.points]


def test_a_disk_that_is_too_small_is_said_before_anything_is_calibrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 100})()
    monkeypatch.setattr("smoothbench.running.estimate.shutil.disk_usage", lambda path: usage)
    running = experiment(tmp_path, "metrics=[psnr]", "only=[smoothcache]", "solver.steps=4", "num_samples=2")
    with pytest.raises(UsageError, match=r"GB free, but the samples need.*or keep_samples=false"):
        running.run()
    assert not list(tmp_path.rglob("curves/*"))
    dropping = experiment(tmp_path, "metrics=[psnr]", "only=[fora]", "num_samples=2", "keep_samples=false")
    with pytest.raises(UsageError, match=r"by only=\[...\], another disk by results_dir=...$"):
        dropping.run()


@pytest.mark.parametrize("model", ["dit_nano", "stable_audio_nano", "opensora_nano"])
def test_samples_take_about_the_bytes_that_their_codec_expects(model: str) -> None:
    spec = settings(composed(f"model={model}", "solver.steps=4"))
    built, solver = build_model(spec.model, torch.device("cpu")), build_solver(spec.specs[0].solver)
    sample = built.decode(latents(built, solver, range(1), silent))[0]
    assert 0.4 < len(built.media.encode(sample)) / _file_bytes(built) < 1.2


SMOOTHCACHE = ("metrics=[psnr]", "only=[smoothcache]", "solver.steps=4", "num_samples=2", "batch_size=2")
SKIPPING = {"smoothcache": {"cache.policy.alpha": [0.6]}}


def set_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = type("Usage", (), {"free": free})()
    monkeypatch.setattr("smoothbench.running.estimate.shutil.disk_usage", lambda path: usage)


def test_a_full_disk_stops_no_run_that_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment(tmp_path, *SMOOTHCACHE, sweeps=SKIPPING).run()
    for curves in tmp_path.rglob("curves/*"):
        curves.unlink()
    set_free(monkeypatch, 100)
    again = experiment(tmp_path, *SMOOTHCACHE, sweeps=SKIPPING)
    assert any(point.uncalibrated for point in again.bench.points)
    again.run()


def test_a_disk_that_is_too_small_for_calibrated_points_is_said_before_they_are_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = experiment(tmp_path, *SMOOTHCACHE, sweeps=SKIPPING)
    of_reference = _bytes(
        running.bench, [(running.bench.reference, running.bench.reference.trajectory.evals)]
    )
    set_free(monkeypatch, of_reference)
    with pytest.raises(UsageError, match="GB free, but the samples need"):
        running.run()
    assert list(tmp_path.rglob("curves/*"))
    assert not list(tmp_path.rglob("samples/*/*"))


def hashed_files(running: Any, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often the samples of a set are looked through for damage while an experiment runs."""
    counts: Counter[str] = Counter()
    damaged = Samples.damaged

    def counting(samples: Samples) -> bool:
        counts[samples.sample_id] += 1
        return damaged(samples)

    monkeypatch.setattr(Samples, "damaged", counting)
    running.run()
    return counts


def test_the_samples_of_points_that_are_done_are_hashed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment(tmp_path, *FEW).run()
    again = experiment(tmp_path, *FEW)
    assert hashed_files(again, monkeypatch) == dict.fromkeys([p.sample_id for p in again.bench.points], 1)


def test_only_points_that_are_planned_anew_are_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment(tmp_path, *SMOOTHCACHE, sweeps=SKIPPING).run()
    for curves in tmp_path.rglob("curves/*"):
        curves.unlink()
    again = experiment(tmp_path, *SMOOTHCACHE, sweeps=SKIPPING)
    reference = again.bench.reference.sample_id
    counts = hashed_files(again, monkeypatch)
    assert counts[reference] == 1 and counts[again.bench.points[1].sample_id] == 1
