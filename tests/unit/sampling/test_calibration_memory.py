"""Calibration in parts: the same curves and schedules, and the papers' models fit the memory there is."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench.caching import ErrorCurves, SmoothCache, calibrate, find_sites
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.config.spec import Settings
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.planning.plan import trajectory_of
from smoothbench.protocols import Model
from smoothbench.sampling import calibrate_point
from smoothbench.sampling.output_memory import SHARE, free_bytes, output_bytes, split
from smoothbench.storage.results_folder import Store
from tests.support.compose import composed
from tests.support.tiny_dit import TinyDiT

CPU = torch.device("cpu")
# bytes that stay beside the denoiser, float32
TEXT_ENCODER = {"opensora": 19.1e9, "stable_audio_open": 0.5e9}


def close(found: ErrorCurves, expected: ErrorCurves) -> None:
    """The same to rounding, and the same schedules at every threshold that is not at an error itself."""
    assert found.trajectory == expected.trajectory
    torch.testing.assert_close(found.l1, expected.l1, rtol=1e-4, atol=0)  # single samples, in sums
    torch.testing.assert_close(found.per_sample(), expected.per_sample(), rtol=0, atol=1e-5, equal_nan=True)
    for alpha in (0.02, 0.05, 0.1, 0.2, 0.5):
        plans = [SmoothCache(alpha).plan(curves.trajectory, curves) for curves in (found, expected)]
        assert plans[0].computed == plans[1].computed


def batched(dit: TinyDiT, sizes: list[int]) -> Any:
    """A run of six samples in batches of these sizes, each with its guidance row."""
    x = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(5))

    def run() -> None:
        for start, size in zip([sum(sizes[:i]) for i in range(len(sizes))], sizes, strict=True):
            rows = x[start : start + size].repeat(2, 1, 1, 1)
            labels = torch.cat([torch.arange(start, start + size), torch.full((size,), 10)])
            for t in torch.linspace(999, 0, dit.evals).long():
                rows = (
                    rows - 0.2 * dit.denoiser(rows, timestep=t.expand(2 * size), class_labels=labels).sample
                )

    return run


@pytest.mark.parametrize("sizes", [[1] * 6, [4, 2], [3, 3], [5, 1]])
def test_parts_of_a_batch_give_the_same_curves(tiny: TinyDiT, sizes: list[int]) -> None:
    expected = calibrate(tiny.denoiser, batched(tiny, [6]), rows_per_sample=2)
    close(calibrate(tiny.denoiser, batched(tiny, sizes), rows_per_sample=2), expected)


@pytest.mark.parametrize("passes", [2, 3, 6, 50])
def test_groups_of_sites_in_several_passes_give_the_same_bits(tiny: TinyDiT, passes: int) -> None:
    calls: list[int] = []

    def run() -> None:
        calls.append(1)
        tiny.run()

    expected = calibrate(tiny.denoiser, tiny.run)
    curves = calibrate(tiny.denoiser, run, passes=passes)
    assert curves.digest() == expected.digest() and curves.trajectory == expected.trajectory
    assert len(calls) == min(passes, 6)


def test_passes_that_sample_differently_are_refused(tiny: TinyDiT) -> None:
    batches = iter((1, 2))
    with pytest.raises(ValueError, match="sampled differently"):
        calibrate(tiny.denoiser, lambda: tiny.run(batch=next(batches)), passes=2)
    with pytest.raises(ValueError, match="passes must be at least 1, not 0"):
        calibrate(tiny.denoiser, tiny.run, passes=0)


@pytest.mark.parametrize(("rows", "said"), [(4, "rows_per_sample=4"), (3, "rows_per_sample=3")])
def test_rows_that_do_not_fit_the_batch_are_refused(tiny: TinyDiT, rows: int, said: str) -> None:
    with pytest.raises(ValueError, match=f"a batch of 2 rows is no multiple of {said}"):
        calibrate(tiny.denoiser, lambda: tiny.run(batch=1), rows_per_sample=rows)


def test_a_split_uses_smaller_batches_first_and_passes_only_then() -> None:
    outputs = [100] * 10
    assert (split(10, outputs, 3, None).samples, split(10, outputs, 3, 10**9).samples) == (10, 10)
    for free in (10**5, 30_000, 10_000, 5_000, 2_000, 700, 500):
        plan = split(10, outputs, 3, free)
        assert plan.bytes <= SHARE * free and (plan.passes == 1 or plan.samples == 1)
        assert plan.bytes == plan.samples * 3 * 100 * -(-10 // plan.passes)
    assert split(10, outputs, 3, 4_500, least=2).samples == 2
    assert split(10, outputs, 3, 1).passes == 10  # nothing fits: as little as can be


def test_outputs_are_measured_without_computing(tiny: TinyDiT) -> None:
    meta = tiny.denoiser.to("meta")
    call = lambda: meta(  # noqa: E731
        torch.empty(2, 1, 8, 8, device="meta"),
        timestep=torch.empty(2, device="meta"),
        class_labels=torch.empty(2, dtype=torch.long, device="meta"),
    )
    assert output_bytes(meta, find_sites(meta), call) == (2 * 16 * 16 * 4,) * 6
    free = free_bytes(CPU)
    assert free is None or free > 0


@pytest.mark.parametrize(
    ("experiment", "limit"),
    [("paper/opensora_rflow", 70e9), ("paper/stable_audio_dpmpp3m", 20e9)],
)
@pytest.mark.slow
def test_the_papers_models_calibrate_in_the_memory_of_one_card(experiment: str, limit: float) -> None:
    plan = settings(composed(f"+exp={experiment}", "stage=cost"))
    model = build_model(plan.model, CPU)
    skeleton, call = model.skeleton()
    outputs = output_bytes(skeleton, find_sites(skeleton), call)
    weights = sum(p.numel() * p.element_size() for p in skeleton.parameters())
    beside = weights + TEXT_ENCODER[plan.model.get("name", model.name)]
    asked = next(spec for spec in plan.specs if "alpha" in spec.policy).calibration
    lags, samples = asked["k_max"], asked["num_samples"]
    assert sum(outputs) * lags * samples + beside > limit  # all at once does not fit
    cut = split(samples, outputs, lags, int(limit - beside), model.min_batch_size)
    assert cut.bytes + beside < limit and cut.bytes <= SHARE * (limit - beside)
    assert cut.passes <= 3


def measured(plan: Settings, model: Model, folder: Path) -> ErrorCurves:
    """The curves of the last point, by the harness, in a fresh results folder."""
    store = Store(folder)
    store.check()
    sites, spec = measured_sites(*model.skeleton()), plan.specs[-1]
    solver, _ = trajectory_of(spec, model, sites)
    return calibrate_point.Curves(ChosenSites(model), store, force=False).measured(solver, spec, sites[0])[0]


@pytest.mark.slow
def test_the_harness_calibrates_in_parts_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plan = settings(
        composed("cache=smoothcache", "solver.steps=4", "calibration.num_samples=4", "metrics={}")
    )
    model = build_model(plan.model, CPU)

    def curves(folder: str, free: int | None) -> ErrorCurves:
        monkeypatch.setattr(calibrate_point, "free_bytes", lambda device: free)
        return measured(plan, model, tmp_path / folder)

    caplog.set_level(logging.INFO)
    expected = curves("whole", None)
    close(curves("parts", 5_000_000), expected)
    close(curves("passes", 700_000), expected)
    said = [r.getMessage() for r in caplog.records if "calibrating" in r.getMessage()]
    assert "4 samples, 4 evaluations; 4 at a time, passes: 1" in said[0]
    assert "2 at a time, passes: 1" in said[1] and "of 0.005 GB free" in said[1]
    assert "1 at a time, passes: 3" in said[2]


@pytest.mark.slow
def test_what_does_not_fit_after_all_is_calibrated_in_smaller_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plan = settings(
        composed("cache=smoothcache", "solver.steps=3", "calibration.num_samples=4", "metrics={}")
    )
    model = build_model(plan.model, CPU)
    whole, sampled = calibrate_point.latents, list[int]()

    def latents(model: Any, solver: Any, seeds: range, *more: Any) -> Any:
        sampled.append(len(seeds))
        if len(seeds) > most:
            raise RuntimeError("CUDA error: out of memory")
        return whole(model, solver, seeds, *more)

    monkeypatch.setattr(calibrate_point, "latents", latents)
    most = 4
    expected = measured(plan, model, tmp_path / "whole")
    most = 1
    close(measured(plan, model, tmp_path / "parts"), expected)
    assert sampled == [4, 4, 2, 1, 1, 1, 1]
    assert "out of memory (CUDA error: out of memory): calibrating in smaller parts" in caplog.text
    most = 0
    with pytest.raises(MemoryError, match="not even a calibration of single samples and sites"):
        measured(plan, model, tmp_path / "nothing")


def test_a_smaller_split_ends() -> None:
    plan, seen = split(10, [100] * 10, 3, None), list[tuple[int, int]]()
    while (smaller := plan.smaller([100] * 10, 3, least=2)) is not None:
        plan = smaller
        seen.append((plan.samples, plan.passes))
    assert seen == [(5, 1), (2, 1), (2, 2), (2, 4), (2, 8), (2, 10)]
    assert plan.bytes == 2 * 3 * 100
