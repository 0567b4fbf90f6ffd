"""Predictors of published methods equal their rules, tensor by tensor, on masks of FORA at two levels."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.adams_bashforth import AdamsBashforth
from baselines.chebbooster import ChebBooster
from baselines.foca import FoCa
from baselines.fora import FORA
from baselines.hicache import HiCache
from baselines.l2p import L2P
from baselines.scalingcache import ScalingCache
from smoothbench.caching import CalibrationBatch, Schedule, Trajectory, cached, find_sites
from smoothbench.caching.predictor import taylor_weights
from tests.oracles import forecasts
from tests.support.tiny_dit import TinyDiT

TIMESTEPS = tuple(float(t) for t in torch.linspace(999, 0, 12).long())
OF_RUN: dict[str, tuple[Any, Callable[..., Tensor]]] = {
    "HiCache 1": (HiCache(1), lambda past, e: forecasts.hicache(past, e, 1)),
    "HiCache 4": (HiCache(4, 0.3), lambda past, e: forecasts.hicache(past, e, 4, 0.3)),
    "ChebBooster": (ChebBooster(), forecasts.chebbooster),
    "ChebBooster 5": (ChebBooster(5), lambda past, e: forecasts.chebbooster(past, e, 5)),
    "AB-Cache 2": (AdamsBashforth(), forecasts.adams_bashforth),
    "AB-Cache 3": (AdamsBashforth(3), lambda past, e: forecasts.adams_bashforth(past, e, 3)),
    "FoCa": (FoCa(depth=12), forecasts.foca),
    "FoCa, 3 values": (FoCa(12, 3), lambda past, e: forecasts.foca(past, e, 3)),
}
FITTED: dict[str, tuple[Any, Callable[..., Any]]] = {
    "L2P": (L2P(), forecasts.least_squares),
    "L2P, ridge": (L2P(ridge=0.1), lambda recorded: forecasts.least_squares(recorded, 0.1)),
    "ScalingCache": (ScalingCache(), forecasts.scaled_change),
}
UNFITTED = {name: predictor for name, (predictor, _) in OF_RUN.items()}


def trajectory(tiny: TinyDiT, level: str) -> Trajectory:
    return Trajectory(find_sites(tiny.denoiser, level), TIMESTEPS)


def calibration(tiny: TinyDiT, level: str) -> CalibrationBatch:
    def sample(announcer: Any) -> Tensor:
        return tiny.run(before=announcer.step)

    return CalibrationBatch(tiny.denoiser, sample, trajectory(tiny, level), rows_per_sample=2)


def schedule_of(tiny: TinyDiT, level: str, orientation: str, interval: int = 3) -> Schedule:
    return FORA(interval, orientation, level=level).plan(trajectory(tiny, level))


def in_float64(tiny: TinyDiT, full: Any, rules: Any, level: str) -> tuple[Tensor, forecasts.Forecast]:
    """The run with a rule's forecasts in place of skipped outputs."""
    denoiser = deepcopy(tiny.denoiser).double()
    forecast = forecasts.Forecast(full, rules)
    sites = find_sites(denoiser, level)
    blocks = [f"transformer_blocks.{i}" for i in (0, 2)]
    context = (
        forecast.of_branches(denoiser, {site.name: site.path for site in sites})
        if level == "branch"
        else forecast.of_stack(denoiser, sites[0].name, *blocks)
    )
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(5)).double().repeat(2, 1, 1, 1)
    labels = torch.tensor([0, 1, 10, 10])
    with torch.inference_mode(), context:
        for e, t in enumerate(torch.linspace(999, 0, 12).long()):
            forecast.evaluation = e
            x = x - 0.2 * denoiser(x, timestep=t.expand(4), class_labels=labels).sample
    return x, forecast


def assert_equal(tiny: TinyDiT, schedule: Schedule, predictor: Any, expected: Tensor) -> None:
    for fast in (True, False):
        with cached(tiny.denoiser, schedule, predictor=predictor, coordinates=TIMESTEPS, fast=fast) as run:
            x = tiny.run(before=lambda e, t, run=run: run.step(e, t))
            assert run.is_fast == fast
        assert run.realised == list(schedule.computed)
        assert (x - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.mark.parametrize("orientation", ["repository", "mirrored"])
@pytest.mark.parametrize("level", ["branch", "span"])
@pytest.mark.parametrize("name", OF_RUN)
def test_a_predictor_equals_its_rule(tiny: TinyDiT, name: str, level: str, orientation: str) -> None:
    predictor, rule = OF_RUN[name]
    schedule = schedule_of(tiny, level, orientation)
    full = [bits[0] for bits in schedule.computed]
    expected, _ = in_float64(tiny, full, lambda site: rule, level)
    assert_equal(tiny, schedule, predictor, expected)


@pytest.mark.parametrize("orientation", ["repository", "mirrored"])
@pytest.mark.parametrize("level", ["branch", "span"])
@pytest.mark.parametrize("name", FITTED)
def test_a_fitted_predictor_equals_its_rule(tiny: TinyDiT, name: str, level: str, orientation: str) -> None:
    predictor, rule = FITTED[name]
    schedule = schedule_of(tiny, level, orientation)
    _, uncached = in_float64(tiny, [True] * 12, None, level)
    recorded = {site: [output for _, output, _ in past] for site, past in uncached.past.items()}
    full = [bits[0] for bits in schedule.computed]
    expected, _ = in_float64(tiny, full, lambda site: rule(recorded[site]), level)
    batch = calibration(tiny, level)
    assert_equal(tiny, schedule, predictor.fit(schedule, batch), expected)
    assert batch.spent.runs == 1


def test_scalingcache_reuses_what_does_not_change(tiny: TinyDiT) -> None:
    last = tiny.denoiser.transformer_blocks[1].ff.net[2]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    schedule = schedule_of(tiny, "branch", "repository")
    weights = ScalingCache().fit(schedule, calibration(tiny, "branch"))
    assert {tuple(row) for row in weights.table["blocks.1.ff"]} == {(), (1.0,), (1.0, 0.0)}


@pytest.mark.parametrize("name", [*OF_RUN, *FITTED])
def test_where_nothing_is_skipped_the_run_is_the_uncached_one(tiny: TinyDiT, name: str) -> None:
    schedule = schedule_of(tiny, "branch", "repository", interval=1)
    predictor = UNFITTED.get(name) or FITTED[name][0].fit(schedule, calibration(tiny, "branch"))
    with (
        pytest.warns(match="skipped nothing"),
        cached(tiny.denoiser, schedule, predictor=predictor, fast=False),
    ):
        x = tiny.run()
    assert torch.equal(x, tiny.run())


@pytest.mark.parametrize("name", UNFITTED)
def test_a_constant_is_predicted_and_the_order_falls_to_what_is_kept(name: str) -> None:
    predictor = UNFITTED[name]
    coordinates = [9.0, 7.0, 6.0, 2.0, 0.0][: predictor.depth]
    assert predictor.weights([4.0], 6.0) == [1.0]
    for kept in range(1, len(coordinates) + 1):
        assert sum(predictor.weights(coordinates[:kept], 11.0)) == pytest.approx(1)
        assert len(predictor.weights(coordinates[:kept], 11.0)) == kept


def test_a_line_is_followed_by_those_that_extrapolate() -> None:
    coordinates = [9.0, 6.0, 5.0, 1.0]
    for predictor, now in (
        (ChebBooster(2), 11.0),
        (FoCa(), 11.0),
        (FoCa(4, 3), 11.0),
        (AdamsBashforth(), 12.0),
    ):
        kept = coordinates[: predictor.depth]
        weights = predictor.weights(kept, now)
        assert sum(w * (5 - 2 * c) for w, c in zip(weights, kept, strict=True)) == pytest.approx(5 - 2 * now)


def test_hicache_has_half_of_taylor_s_slope() -> None:
    straight, halved = taylor_weights([8.0, 5.0], 10.0), HiCache(1).weights([8.0, 5.0], 10.0)
    assert halved[1] == pytest.approx(straight[1] / 2)
    assert HiCache(1, 0.5**0.5).weights([8.0, 5.0], 10.0) == pytest.approx(straight)


def test_chebbooster_is_the_polynomial_where_outputs_are_equally_spaced() -> None:
    assert ChebBooster(3).weights([2.0, 1.0, 0.0], 4.0) == pytest.approx([6, -8, 3])


def test_chebbooster_leaves_an_output_out_where_its_formula_has_a_pole() -> None:
    assert ChebBooster(3).weights([7.0, 6.0, 4.0], 10.0) == pytest.approx([4, -3, 0])  # 1/6 - 1/4 + 1/12 = 0
    assert ChebBooster(3).weights([6.0, 5.0, 1.0], 10.0) == pytest.approx([5, -4, 0])  # it would be negative


def test_foca_follows_its_recursion_from_the_oldest_kept_output_on() -> None:
    """Two computed outputs: the slope stays theirs; with three the jump of the newest fades by half each step."""
    assert FoCa(2).weights([4.0, 1.0], 6.0) == pytest.approx([1 + 2 / 3, -2 / 3])
    jump = [1.0, -1.0 - 2 / 3, 2 / 3]  # the newest output less what was predicted just before it
    slope = [1 / 3, -1 / 3, 0.0]
    expected = [v + s / 2 + j / 2 for v, s, j in zip([1.0, 0.0, 0.0], slope, jump, strict=True)]
    assert FoCa().weights([6.0, 3.0, 0.0], 7.0) == pytest.approx(expected)
    assert FoCa(3, 3).weights([2.0, 1.0, 0.0], 3.0) == pytest.approx([9 / 4, -3 / 2, 1 / 4])


def test_weights_of_another_grid_step_count_or_model_are_refused(tiny: TinyDiT) -> None:
    schedule = schedule_of(tiny, "branch", "repository")
    weights = L2P().fit(schedule, calibration(tiny, "branch"))
    other = Schedule(
        schedule.sites, schedule.kinds, schedule.computed, {"coordinates": list(range(900, 0, -75))}
    )
    fewer = Schedule(schedule.sites, schedule.kinds, schedule.computed[:10])
    spans = schedule_of(tiny, "span", "repository")
    refused = {
        "the weights were fitted to timesteps 999 to 0 in 12 evaluations, but the schedule was planned for 900": other,
        "the weights are for 12 evaluations, but the run has 10 evaluations": fewer,
        r"the weights are for site blocks\.0\.self_attn, but the run has blocks\.0-2\.span": spans,
    }
    for message, wrong in refused.items():
        with pytest.raises(ValueError, match=message), cached(tiny.denoiser, wrong, predictor=weights):
            tiny.run()
    with (
        pytest.raises(ValueError, match="timesteps 999 to 0 in 12 evaluations, evaluation 0 at 999"),
        cached(tiny.denoiser, schedule, predictor=weights) as run,
    ):
        tiny.run(before=lambda e, t: run.step(e, t / 2))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "HiCache order": (lambda: HiCache(5), "HiCache's order must be 1, 2, 3 or 4, not 5"),
    "HiCache scale": (lambda: HiCache(2, 0.0), "HiCache's scale must be above 0 and at most 1, not 0.0"),
    "ChebBooster": (lambda: ChebBooster(1), "ChebBooster's depth must be 2, 3, 4, 5 or 6, not 1"),
    "AB-Cache": (lambda: AdamsBashforth(4), "Adams-Bashforth's order must be 2 or 3, not 4"),
    "HiCache, True": (lambda: HiCache(True), "HiCache's order must be 1, 2, 3 or 4, not True"),
    "ChebBooster, 3.0": (lambda: ChebBooster(3.0), "ChebBooster's depth must be 2, 3, 4, 5 or 6, not 3.0"),  # type: ignore[arg-type]
    "AB-Cache, 2.0": (lambda: AdamsBashforth(2.0), "Adams-Bashforth's order must be 2 or 3, not 2.0"),  # type: ignore[arg-type]
    "FoCa": (lambda: FoCa(1), "FoCa's depth must be a whole number from 2, not 1"),
    "FoCa, values": (lambda: FoCa(4, 4), "FoCa's slope_values must be 2 or 3, not 4"),
    "FoCa, a share": (lambda: FoCa(2.5), "FoCa's depth must be a whole number from 2, not 2.5"),  # type: ignore[arg-type]
    "L2P, a share": (lambda: L2P(2.5), "L2P's depth must be a whole number from 1, not 2.5"),  # type: ignore[arg-type]
    "L2P depth": (lambda: L2P(0), "L2P's depth must be a whole number from 1, not 0"),
    "L2P ridge": (lambda: L2P(5, -1.0), "L2P's ridge must be a finite number from 0, not -1.0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_parameters_out_of_range_are_refused(case: str) -> None:
    build, message = REFUSED[case]
    with pytest.raises(ValueError) as refusal:
        build()
    assert str(refusal.value) == message
