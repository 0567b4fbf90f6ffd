"""Calibration and SmoothCache's planning, against direct evaluations of their definitions."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.cem import CEM
from baselines.delta_dit import DeltaDiT
from baselines.fora import FORA
from baselines.pab import PAB
from baselines.teacache import TeaCache
from smoothbench.caching import (
    ErrorCurves,
    SmoothCache,
    SmoothCacheAtBudget,
    Trajectory,
    Warmup,
    alpha_for,
    calibrate,
)
from smoothbench.caching.smoothcache import scan
from tests.support.tiny_dit import TinyDiT


def outputs_of(dit: TinyDiT, path: str) -> list[torch.Tensor]:
    """A branch's output at every evaluation, by a plain hook."""
    seen: list[torch.Tensor] = []
    handle = dit.denoiser.get_submodule(path).register_forward_hook(lambda m, i, out: seen.append(out))
    dit.run()
    handle.remove()
    return seen


def test_curves_are_the_relative_l1_changes(tiny: TinyDiT, curves: ErrorCurves) -> None:
    site = next(i for i, s in enumerate(curves.trajectory.sites) if s.name == "blocks.1.ff")
    seen = outputs_of(tiny, "transformer_blocks.1.ff")
    for e in range(tiny.evals):
        for lag in range(1, 4):
            got = curves.whole_batch()[site, e, lag - 1].item()
            if e < lag:
                assert math.isnan(got)
            else:
                change = (seen[e] - seen[e - lag]).abs().sum() / seen[e].abs().sum()
                assert got == pytest.approx(change.item(), rel=1e-5)
    rows = seen[5][[0, 2]] - seen[4][[0, 2]]  # the guidance rows of sample 0
    alone = rows.abs().sum() / seen[5][[0, 2]].abs().sum()
    assert curves.per_sample()[0, site, 5, 0].item() == pytest.approx(alone.item(), rel=1e-5)


def test_runs_are_never_compared_across_a_restart(tiny: TinyDiT, curves: ErrorCurves) -> None:
    def twice() -> None:
        tiny.run()
        tiny.run()

    both = calibrate(tiny.denoiser, twice, samples=2)
    assert both.l1.shape[0] == 4
    torch.testing.assert_close(both.l1_diff[:2], both.l1_diff[2:], equal_nan=True)
    torch.testing.assert_close(both.whole_batch(), curves.whole_batch(), equal_nan=True)


def test_offloaded_is_the_same(tiny: TinyDiT, curves: ErrorCurves) -> None:
    assert calibrate(tiny.denoiser, tiny.run, samples=2, offload=True).digest() == curves.digest()


def test_calibration_leaves_the_model_as_it_was(tiny: TinyDiT) -> None:
    before = tiny.run()
    calibrate(tiny.denoiser, tiny.run)
    assert torch.equal(tiny.run(), before)


def test_costs_come_with_the_curves(curves: ErrorCurves) -> None:
    attention, feed_forward = curves.trajectory.sites[:2]
    tokens, width, rows = 16, 16, 2
    assert attention.macs_linear == rows * 4 * tokens * width**2
    assert attention.macs - attention.macs_linear == rows * 2 * tokens**2 * width
    assert feed_forward.macs == feed_forward.macs_linear == rows * 8 * tokens * width**2


def test_a_run_that_raised_leaves_no_costs(tiny: TinyDiT, curves: ErrorCurves) -> None:
    failures = [RuntimeError("interrupted")]

    def interrupt(*_: Any) -> None:
        if failures:
            raise failures.pop()

    def run() -> None:
        with pytest.raises(RuntimeError, match="interrupted"):
            tiny.run()
        tiny.run()

    tiny.denoiser.transformer_blocks[2].register_forward_pre_hook(interrupt)
    assert calibrate(tiny.denoiser, run, samples=2).trajectory == curves.trajectory


def test_what_calibration_refuses(tiny: TinyDiT) -> None:
    with pytest.raises(ValueError, match="saw no forward"):
        calibrate(tiny.denoiser, lambda: None)
    with pytest.raises(ValueError, match="no multiple of samples=3"):
        calibrate(tiny.denoiser, tiny.run, samples=3)
    with pytest.raises(ValueError, match="k_max must be at least 1"):
        calibrate(tiny.denoiser, tiny.run, k_max=0)

    def uneven() -> None:
        tiny.run()
        tiny.run(evals=5)

    with pytest.raises(ValueError, match=r"different numbers of evaluations: \[5, 12\]"):
        calibrate(tiny.denoiser, uneven)


def test_curves_to_disk_and_back(curves: ErrorCurves, tmp_path: Path) -> None:
    curves.save(tmp_path / "curves.npz")
    again = ErrorCurves.load(tmp_path / "curves.npz")
    assert again.trajectory == curves.trajectory and again.digest() == curves.digest()
    assert again.to_bytes() == curves.to_bytes()
    (tmp_path / "broken.npz").write_bytes(curves.to_bytes()[:500])
    np.savez(tmp_path / "other.npz", mu=np.zeros(3))
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("broken.npz", "other.npz", "pickled.npy", "absent.npz"):
        with pytest.raises(ValueError, match=name):
            ErrorCurves.load(tmp_path / name)


def test_the_published_scan_by_hand() -> None:
    """Longest lag first, the error of that lag alone, `<=`, first and last forced after the scan."""
    nan = math.nan
    errors = [
        [nan, nan, nan],
        [0.9, nan, nan],
        [0.1, 0.9, nan],
        [0.1, 0.2, 0.1],  # from 0 at lag 3: 0.1 <= 0.1, though lag 1 at evaluation 1 is 0.9
        [0.9, 0.9, 0.9],
        [0.1, 0.9, 0.9],
        [0.1, 0.1, 0.9],
    ]
    # 0 skips 1-3; 4 skips 5-6 by lag 2, and the last is forced
    assert scan(errors, 0.1) == [True, False, False, False, True, False, True]
    assert scan(errors, 0.0) == [True] * 7
    # all at lag 3: 0, 4 computed; the last is forced
    assert scan(errors, 1.0) == [True, False, False, False, True, False, True]


def test_alpha_for_is_exact_over_all_schedules(curves: ErrorCurves) -> None:
    trajectory = curves.trajectory
    errors = [curves.by_kind(kind)[:, lag] for kind in ("self_attn", "ff") for lag in range(3)]
    candidates = sorted({0.0, *(x for row in errors for x in row.tolist() if x == x)})
    shares = [trajectory.share(SmoothCache(a).plan(trajectory, curves)) for a in candidates]
    for budget in (0.95, 0.7, 0.55):
        expected = next(a for a, share in zip(candidates, shares, strict=True) if share <= budget)
        assert alpha_for(curves, budget) == expected
        below = candidates[candidates.index(expected) - 1]
        assert trajectory.share(SmoothCache(below).plan(trajectory, curves)) > budget
    with pytest.raises(ValueError, match=r"no alpha costs at most 0\.0100"):
        alpha_for(curves, 0.01)


@pytest.mark.parametrize("group", ["kind", "site"])
def test_at_anothers_budget_costs_no_more(curves: ErrorCurves, group: str) -> None:
    trajectory = curves.trajectory
    at = SmoothCacheAtBudget(FORA(2), group=group).plan(trajectory, curves)
    assert trajectory.share(at) <= trajectory.share(FORA(2).plan(trajectory))
    if group == "kind":
        assert len({row[0::2] for row in at.computed} | {row[1::2] for row in at.computed}) <= 2


@pytest.mark.parametrize("like", [CEM(full=3), TeaCache(), DeltaDiT(2), Warmup(DeltaDiT(2)), FORA, None])
def test_a_budget_of_another_kind_of_method_is_refused(like: Any) -> None:
    with pytest.raises(
        ValueError, match="SmoothCacheAtBudget's like must be a policy that plans in advance on"
    ):
        SmoothCacheAtBudget(like)


def test_a_budget_is_that_of_the_same_level() -> None:
    for like in (FORA(2, level="span"), Warmup(FORA(2, level="span"))):
        with pytest.raises(ValueError, match="at level 'branch', and its like, FORA, at 'span': give both"):
            SmoothCacheAtBudget(like)
        assert SmoothCacheAtBudget(like, level="span").like is like
    assert SmoothCacheAtBudget(PAB())


def test_first_and_last_are_computed_and_meta_tells_the_calibration(curves: ErrorCurves) -> None:
    schedule = SmoothCache(alpha=10.0).plan(curves.trajectory, curves)
    assert all(schedule.computed[0]) and all(schedule.computed[-1])
    assert schedule.meta["calibration"] == curves.digest()


def test_what_smoothcache_refuses(curves: ErrorCurves) -> None:
    with pytest.raises(ValueError, match="alpha must be at least 0"):
        SmoothCache(alpha=-0.1)
    with pytest.raises(ValueError, match="alpha must be at least 0"):
        SmoothCache(alpha=math.nan)
    with pytest.raises(ValueError, match="group"):
        SmoothCache(alpha=0.1, group="block")
    with pytest.raises(ValueError, match="calibrate"):
        SmoothCache(alpha=0.1).plan(curves.trajectory)
    with pytest.raises(ValueError, match="calibrated at 12 evaluations, not 20"):
        SmoothCache(alpha=0.1).plan(Trajectory(curves.trajectory.sites, tuple(range(20))), curves)
    with pytest.raises(ValueError, match="another model"):
        SmoothCache(alpha=0.1).plan(Trajectory(curves.trajectory.sites[:2], tuple(range(12))), curves)
    with pytest.raises(ValueError, match="calibrate with k_max=5"):
        SmoothCache(alpha=0.1, k_max=5).plan(curves.trajectory, curves)
