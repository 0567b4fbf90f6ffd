"""Outputs of 0 and outputs that are not finite, and time grids that are not the run's."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from baselines.saved import SavedSchedule
from smoothbench.caching import ErrorCurves, Schedule, SmoothCache, Trajectory, cached, calibrate, find_sites
from tests.support.tiny_dit import TinyDiT

SITE = r"blocks\.1\.ff"


def zeroed(dit: TinyDiT, from_evaluation: int = 0, value: float = 0.0) -> None:
    """The feed-forward of block 1 gives a constant from an evaluation on, counted over all forwards."""
    seen: list[int] = []

    def constant(module: object, inputs: object, output: Tensor) -> Tensor | None:
        seen.append(1)
        return torch.full_like(output, value) if (len(seen) - 1) % dit.evals >= from_evaluation else None

    dit.denoiser.transformer_blocks[1].ff.net[2].register_forward_hook(constant)


def test_an_output_of_zero_leaves_its_kind_cached(tiny: TinyDiT) -> None:
    usual = SmoothCache(0.2)
    expected = usual.plan((curves := calibrate(tiny.denoiser, tiny.run)).trajectory, curves)
    zeroed(tiny)
    with pytest.warns(UserWarning, match=rf"the output of {SITE} is 0"):
        curves = calibrate(tiny.denoiser, tiny.run)
    assert curves.zero_outputs() == ["blocks.1.ff"]
    known = curves.whole_batch()[3, 1:, 0]
    assert (known == 0).all() and curves.per_sample()[:, 3, 1:, 0].eq(0).all()
    schedule = usual.plan(curves.trajectory, curves)
    assert schedule.calls()["blocks.0.ff"] < tiny.evals
    assert expected.calls()["blocks.0.ff"] < tiny.evals
    assert curves.between_sample_cv() is not None


def test_a_change_from_zero_is_named_and_computed(tiny: TinyDiT, tmp_path: Path) -> None:
    zeroed(tiny, from_evaluation=tiny.evals - 3)
    with pytest.warns(UserWarning, match="where it changes from there, its kind is computed"):
        curves = calibrate(tiny.denoiser, tiny.run)
    assert curves.whole_batch()[3, tiny.evals - 3, 0] == torch.inf
    schedule = SmoothCache(10.0).plan(curves.trajectory, curves)
    assert schedule.calls()["blocks.0.ff"] > schedule.calls()["blocks.0.self_attn"]
    assert curves.between_sample_cv() is None
    curves.save(tmp_path / "curves.npz")  # what is saved can be loaded
    assert ErrorCurves.load(tmp_path / "curves.npz").digest() == curves.digest()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_output_that_is_not_finite_is_named(tiny: TinyDiT, value: float) -> None:
    zeroed(tiny, from_evaluation=4, value=value)
    match = r"blocks\.1\.ff gave values that are not finite at evaluation 4 of sample 0"
    with pytest.raises(ValueError, match=match):
        calibrate(tiny.denoiser, tiny.run)


def test_what_cannot_be_loaded_cannot_be_saved(tmp_path: Path, curves: ErrorCurves) -> None:
    wrong = ErrorCurves(curves.trajectory, curves.l1_diff, curves.l1 * torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        wrong.save(tmp_path / "curves.npz")
    assert not list(tmp_path.iterdir())


def test_no_warning_where_nothing_is_degenerate(tiny: TinyDiT) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrate(tiny.denoiser, tiny.run)


def test_curves_of_another_grid_are_refused_naming_both(curves: ErrorCurves) -> None:
    half = tuple(c / 2 for c in curves.trajectory.coordinates)  # as many steps from half the noise
    trajectory = Trajectory(curves.trajectory.sites, half)
    with pytest.raises(ValueError, match=r"timesteps 999 to 0 in 12 evaluations, not 499\.5 to 0 in 12"):
        SmoothCache(0.1).plan(trajectory, curves)
    rounded = tuple(torch.tensor(curves.trajectory.coordinates).bfloat16().tolist())
    SmoothCache(0.1).plan(Trajectory(curves.trajectory.sites, rounded), curves)


def test_a_schedule_of_another_grid_is_refused_before_anything_runs(
    tiny: TinyDiT, curves: ErrorCurves, tmp_path: Path
) -> None:
    schedule = SmoothCache(0.2).plan(curves.trajectory, curves)
    schedule.save(tmp_path / "schedule.json")
    loaded = Schedule.load(tmp_path / "schedule.json", find_sites(tiny.denoiser))
    assert loaded.coordinates == curves.trajectory.coordinates
    with cached(tiny.denoiser, loaded):
        tiny.run()
    x, y = torch.zeros(2, 1, 8, 8), torch.zeros(2).long()
    match = r"planned for timesteps 999 to 0 in 12 evaluations, evaluation 0 at 999, but the run is at 499"
    with pytest.raises(ValueError, match=match), cached(tiny.denoiser, loaded) as run:
        tiny.denoiser(x, timestep=torch.tensor([499, 499]), class_labels=y)
    assert run.forwards == 0
    saved = SavedSchedule(str(tmp_path / "schedule.json"))
    half = Trajectory(curves.trajectory.sites, tuple(c / 2 for c in curves.trajectory.coordinates))
    with pytest.raises(
        ValueError, match=r"schedule\.json was planned for timesteps 999 to 0 .* the solver's are 4"
    ):
        saved.plan(half)
    assert saved.plan(curves.trajectory) == loaded


@pytest.mark.parametrize("grid", [[1.0], "steps", [None] * 12, [float("nan")] * 12, 5])
def test_a_grid_in_a_file_must_be_one(tiny: TinyDiT, tmp_path: Path, grid: object) -> None:
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps({"attn": [1] * 12, "mlp": [1] * 12, "_meta": {"coordinates": grid}}))
    with pytest.raises(ValueError, match=r"schedule\.json: .*(12 finite numbers|object of text and finite)"):
        Schedule.load(path, find_sites(tiny.denoiser))


def test_runs_of_different_grids_do_not_calibrate_together(tiny: TinyDiT) -> None:
    x, y = torch.zeros(2, 1, 8, 8), torch.zeros(2).long()

    def run() -> None:
        for first in (400, 900):
            for e in range(4):
                tiny.denoiser(x + e, timestep=torch.full((2,), first - 50 * e), class_labels=y)

    with pytest.raises(ValueError, match="different timesteps: 400 to 250 in 4 evaluations, and 900 to 750"):
        calibrate(tiny.denoiser, run)
