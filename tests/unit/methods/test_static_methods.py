"""TaylorSeer, PAB, MagCache and Delta-DiT compute and sample as their rules, written out in float64."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.delta_dit import DeltaDiT
from baselines.magcache import MagCache
from baselines.pab import PAB
from baselines.taylorseer import TaylorSeer
from smoothbench.caching import CalibrationBatch, Schedule, Site, Trajectory, cached
from smoothbench.caching.sites_of_policy import sites_of
from tests.oracles.block_by_block import EVALS, TIMES, plain, sampled
from tests.oracles.static_methods import DeltaDiTByHand, MagCacheByHand, PABByHand, TaylorSeerByHand
from tests.support.tiny_denoisers.unets import UNETS
from tests.support.tiny_dit import TinyDiT

GRID = tuple(map(float, TIMES))


def trajectory(tiny: TinyDiT, method: Any, grid: tuple[float, ...] = GRID) -> Trajectory:
    return Trajectory(sites_of(method, tiny.denoiser), grid)


def run(tiny: TinyDiT, schedule: Schedule, predictor: str = "reuse") -> tuple[Tensor, dict[str, int]]:
    with cached(tiny.denoiser, schedule, predictor=predictor, fast=False) as engine:
        x = sampled([plain(tiny.denoiser)], torch.float32)
    return x, engine.calls


def near(x: Tensor, expected: Tensor) -> bool:
    return bool((x - expected).abs().max() < 1e-4 * expected.abs().max())


def batch(tiny: TinyDiT, on: Trajectory) -> CalibrationBatch:
    def sample(announcer: Any) -> Tensor:
        def forward(e: int, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
            announcer.step(e, float(t[0]))
            return plain(tiny.denoiser)(e, x, t, labels)

        return sampled([forward], torch.float32)

    return CalibrationBatch(tiny.denoiser, sample, on)


@pytest.mark.parametrize(("interval", "first", "order"), [(3, 2, 3), (4, 1, 2), (5, 3, 1), (2, 2, 4)])
def test_taylorseer(tiny: TinyDiT, interval: int, first: int, order: int) -> None:
    oracle, method = TaylorSeerByHand(tiny.denoiser, interval, first, order), TaylorSeer(interval, first)
    expected = sampled([oracle])
    schedule = method.plan(trajectory(tiny, method))
    x, _ = run(tiny, schedule, f"taylor{order}")
    assert near(x, expected)
    assert all(evals == full(schedule) for evals in oracle.computed.values())


def full(schedule: Schedule) -> list[int]:
    return [e for e, bits in enumerate(schedule.computed) if all(bits)]


def test_taylorseer_s_published_counts() -> None:
    """Of 50 steps, its code computes 26, 18, 14, 11 and 10 with N = 2 to 6, and 8 with N = 8; the last are not full."""
    steps = Trajectory((Site("blocks.0.ff", "ff", "blocks.0.ff"),), tuple(map(float, range(50))))
    plans = {n: full(TaylorSeer(n).plan(steps)) for n in (2, 3, 4, 5, 6, 8)}
    assert {n: len(plan) for n, plan in plans.items()} == {2: 26, 3: 18, 4: 14, 5: 11, 6: 10, 8: 8}
    assert plans[5] == [0, 1, 6, 11, 16, 21, 26, 31, 36, 41, 46]


@pytest.mark.parametrize(("window", "low", "high"), [(2, 450, 930), (4, 100, 800), (3, 0, 1000)])
def test_pab(tiny: TinyDiT, window: int, low: float, high: float) -> None:
    oracle, method = PABByHand(tiny.denoiser, window, low, high), PAB(window, low=low, high=high)
    expected = sampled([oracle])
    x, calls = run(tiny, method.plan(trajectory(tiny, method)))
    assert near(x, expected)
    assert calls == {f"blocks.{b}.{kind}": len(evals) for (b, kind), evals in oracle.computed.items()}
    assert calls["blocks.0.self_attn"] < calls["blocks.0.ff"] == EVALS


def test_pab_s_windows_by_kind_and_stretch() -> None:
    kinds = (
        *("spatial_self_attn", "temporal_self_attn", "temporal_cross_attn"),
        *("cross_attn", "context_self_attn", "single_attn_ff", "temporal_ff"),
    )
    sites = tuple(Site(f"blocks.{i}.{kind}", kind, "") for i, kind in enumerate(kinds))
    on = Trajectory(sites, tuple(float(t) for t in range(900, 500, -10)))
    every = [sum(column) for column in zip(*PAB().plan(on).computed, strict=True)]
    assert every == [20, 10, 7, 7, 20, 40, 40]
    assert {PAB(stretch=s).plan(on).computed for s in (0, 0.2)} == {PAB(1, 1, 1).plan(on).computed}
    assert PAB(stretch=1.5).plan(on).computed == PAB(3, 6, 9).plan(on).computed
    plans = [PAB(stretch=s).plan(on).computed for s in PAB().settings(on)]
    more = [PAB(stretch=0.01 * n).plan(on).computed for n in range(0, 4001, 7)]
    assert set(more) <= set(plans) and plans[0] == more[0]


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ((999.0, 500.0, 0.0), [999.0, 500.0, 0.0]),  # timesteps
        ((1.0, 0.6, 0.2), [1000.0, 600.0, 200.0]),  # of a scale to 1
        ((1.0, 0.6, 0.2, 0.0), [1000.0, 600.0, 200.0, 0.0]),  # that ends at 0
        ((501.0, 1.0), [501.0, 1.0]),  # two leading ones, with an offset
        ((80.0, 4.0, 0.2, 0.002), [1000.0, 750.0, 500.0, 250.0]),  # noise levels
        ((1.1, 0.5, -0.2, -1.5), [1000.0, 750.0, 500.0, 250.0]),  # their logarithms, as EDM's
        ((0.0, 1.0, 2.0, 3.0), [1000.0, 750.0, 500.0, 250.0]),  # numbers of evaluations
    ],
)
def test_pab_on_other_grids(grid: tuple[float, ...], expected: list[float]) -> None:
    sites = (Site("blocks.0.self_attn", "self_attn", ""),)
    for low, high in ((t, t + 300) for t in range(0, 1000, 50)):
        bits = PAB(99, low=low, high=high).plan(Trajectory(sites, grid)).computed
        assert [bit for (bit,) in bits] == [e == 0 or not low < t < high for e, t in enumerate(expected)]


@pytest.mark.parametrize(("threshold", "k_max", "retention"), [(0.1, 3, 0.2), (0.6, 2, 0.0), (9.0, 4, 0.5)])
def test_magcache(tiny: TinyDiT, threshold: float, k_max: int, retention: float) -> None:
    method = MagCache(threshold, k_max, retention)
    on = trajectory(tiny, method)
    recorded = MagCacheByHand(tiny.denoiser)
    sampled([recorded])
    rule = {"threshold": threshold, "k_max": k_max, "retention": retention}
    oracle = MagCacheByHand(tiny.denoiser, recorded.measured, **rule)
    expected = sampled([oracle])
    schedule = method.plan_on(on, batch(tiny, on))
    assert schedule.meta["ratios"] == pytest.approx(recorded.measured, rel=1e-4)
    x, _ = run(tiny, schedule)
    assert near(x, expected) and full(schedule) == oracle.computed and len(oracle.computed) < EVALS


def test_magcache_reads_the_ratios_of_its_schedules(tiny: TinyDiT, tmp_path: Path) -> None:
    measuring = MagCache(0.1)
    on = trajectory(tiny, measuring)
    planned = measuring.plan_on(on, batch(tiny, on))
    file = tmp_path / "ratios.json"
    planned.save(file)
    spent = batch(tiny, on)
    read = MagCache(0.1, ratios=str(file)).plan_on(on, spent)
    assert read == planned and spent.spent.runs == 0
    assert MagCache(0.1).digest == "" != MagCache(0.1, ratios=str(file)).digest
    others = {
        "the solver makes 11": Trajectory(on.sites, GRID[:-1]),
        "was planned for timesteps": Trajectory(on.sites, tuple(t / 2 for t in GRID)),
        "MACs an evaluation": replace(on, rest_macs=5),
        "names no site": replace(on, sites=(Site("blocks.0-8.span", "span", ""),)),
    }
    for message, other in others.items():
        with pytest.raises(ValueError, match=message) as error:
            MagCache(0.1, ratios=str(file)).plan_on(other, spent)
        assert str(file) in str(error.value) and "\n" not in str(error.value)
    flat = planned.to_json()
    file.write_text(json.dumps({**flat, "_meta": {}}))
    with pytest.raises(ValueError, match="holds no magnitude ratios"):
        MagCache(0.1, ratios=str(file)).plan_on(on, spent)
    for ratios in (
        None,
        "1",
        [1.0, "1"],
        *([wrong, *planned.meta["ratios"][1:]] for wrong in (0.0, -1.0, True)),
    ):
        file.write_text(json.dumps({**flat, "_meta": {**flat["_meta"], "ratios": ratios}}))
        with pytest.raises(ValueError, match="holds no magnitude ratios"):
            MagCache(0.1, ratios=str(file)).plan_on(on, spent)


def test_magcache_and_delta_dit_refuse_a_u_net() -> None:
    unet = UNETS["UNet2DModel"].build("UNet2DModel")
    with pytest.raises(
        ValueError, match="MagCache needs a transformer's stack of blocks, and UNet2DModel is a U-Net"
    ):
        MagCache(0.1).choose_sites(unet)
    with pytest.raises(ValueError, match="Delta-DiT needs a transformer's stack of blocks"):
        DeltaDiT(2).choose_sites(unet)


@pytest.mark.parametrize(
    ("interval", "blocks", "boundary"), [(2, 0.75, 0.5), (3, 0.34, 0.25), (4, 1.0, 0.7), (3, 0.5, 0)]
)
def test_delta_dit(tiny: TinyDiT, interval: int, blocks: float, boundary: float) -> None:
    method = DeltaDiT(interval, blocks, boundary)
    oracle = DeltaDiTByHand(tiny.denoiser, interval, round(blocks * 3), round(boundary * EVALS))
    expected = sampled([oracle])
    schedule = method.plan(trajectory(tiny, method))
    x, _ = run(tiny, schedule)
    sizes = [1 + b - a for a, b in (map(int, name.split(".")[1].split("-")) for name in schedule.sites)]
    ran = [sum(n for n, bit in zip(sizes, bits, strict=True) if bit) for bits in schedule.computed]
    assert near(x, expected) and ran == oracle.blocks_run and sum(sizes) == 3


@pytest.mark.parametrize(
    "method", [TaylorSeer(1), PAB(stretch=0), PAB(low=0, high=1), DeltaDiT(1), MagCache(0.0)]
)
def test_the_setting_without_a_cache_gives_the_same_bits(tiny: TinyDiT, method: Any) -> None:
    on = trajectory(tiny, method)
    plan = method.plan_on(on, batch(tiny, on)) if isinstance(method, MagCache) else method.plan(on)
    assert plan.skipped_share == 0
    bare = sampled([plain(tiny.denoiser)], torch.float32)
    with pytest.warns(UserWarning, match="skipped nothing"):
        x, _ = run(tiny, plan)
    assert torch.equal(x, bare)


@pytest.mark.parametrize("method", [TaylorSeer(3), TaylorSeer(3, 5), DeltaDiT(2)])
def test_settings_are_all_that_differ_the_dearest_first(tiny: TinyDiT, method: Any) -> None:
    on = trajectory(tiny, method)
    on = replace(on, sites=tuple(replace(site, macs=1) for site in on.sites))
    plans = [replace(method, interval=n).plan(on) for n in method.settings(on)]
    more = [replace(method, interval=n).plan(on).computed for n in range(1, 2 * EVALS)]
    assert set(more) == {plan.computed for plan in plans} and len(set(more)) == len(plans)
    shares = [on.share(plan) for plan in plans]
    assert shares[0] == 1.0 and shares[-1] == min(shares)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TaylorSeer(0), "interval must be a whole number from 1, not 0"),
        (lambda: TaylorSeer(3, 0), "first_enhance must be a whole number from 1, not 0"),
        (lambda: TaylorSeer(3, level="layer"), "level is"),
        (lambda: PAB(0), "window spatial must be a whole number from 1, not 0"),
        (lambda: PAB(stretch=-1), "stretch must be at least 0 and finite, not -1"),
        (lambda: PAB(low=800, high=800), "0 <= low < high, not low 800 and high 800"),
        (lambda: DeltaDiT(0), "interval must be a whole number from 1, not 0"),
        (lambda: DeltaDiT(2, blocks=0), "blocks must be a share above 0 and up to 1, not 0"),
        (lambda: DeltaDiT(2, boundary=1.5), "boundary must be a share from 0 to 1, not 1.5"),
        (lambda: MagCache(-0.1), "threshold must be at least 0 and finite, not -0.1"),
        (lambda: MagCache(0.1, k_max=-1), "k_max must be a whole number from 0, not -1"),
        (lambda: MagCache(0.1, retention=20), "retention must be a share from 0 to 1, not 20"),
        (lambda: MagCache(0.1, ratios="gone.json"), "gone.json: no such file"),
    ],
)
def test_a_parameter_out_of_range_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
