"""cache-dit's DBCache computes the same evaluations as ours, and gives the same samples within rounding."""

from typing import Any

import pytest

from baselines.dbcache import DBCache
from baselines.foca import FoCa
from smoothbench.caching import cached
from tests.support.witness_loop import EVALS, WitnessLoop, close

cache_dit: Any = pytest.importorskip(
    "cache_dit", reason="not installed: pip install -c constraints.txt -e '.[peers]'"
)

WAN, FLUX = "WanTransformer3DModel", "FluxTransformer2DModel"
HUNYUAN = "HunyuanVideoTransformer3DModel"
CASES = [
    {"threshold": 0.5, "first_blocks": 1, "warmup_steps": 0},
    {"threshold": 0.5, "first_blocks": 1, "last_blocks": 1, "warmup_steps": 3},
    {"threshold": 0.55, "first_blocks": 2, "warmup_steps": 6, "warmup_interval": 2},
    {"threshold": 1.0, "first_blocks": 1, "warmup_steps": 4, "max_consecutive_steps": 2},
    {"threshold": 1.0, "first_blocks": 1, "last_blocks": 1, "warmup_steps": 2, "max_cached_steps": 5},
]


def enabled(loop: WitnessLoop, evals: int | None = EVALS, calibrator: Any = None, **settings: Any) -> None:
    """Put cache-dit on the denoiser, with the settings of ours."""
    config = cache_dit.DBCacheConfig(
        Fn_compute_blocks=settings.get("first_blocks", 1),
        Bn_compute_blocks=settings.get("last_blocks", 0),
        residual_diff_threshold=settings["threshold"],
        max_warmup_steps=settings["warmup_steps"],
        warmup_interval=settings.get("warmup_interval", 1),
        max_cached_steps=settings.get("max_cached_steps", -1),
        max_continuous_cached_steps=settings.get("max_consecutive_steps", -1),
        num_inference_steps=evals,
        enable_separate_cfg=loop.forwards == 2,
    )
    cache_dit.enable_cache(loop.denoiser, cache_config=config, calibrator_config=calibrator)


@pytest.mark.parametrize("settings", CASES)
@pytest.mark.parametrize(("name", "forwards"), [(WAN, 1), (WAN, 2), (FLUX, 1)])
def test_the_same_evaluations_are_computed(name: str, forwards: int, settings: dict[str, Any]) -> None:
    ours, theirs = WitnessLoop(name, forwards), WitnessLoop(name, forwards)
    bare = ours.run()
    enabled(theirs, **settings)
    two = settings["first_blocks"] == 2
    between = "transformer_blocks.2" if name == FLUX else "blocks.2" if two else "blocks.1"
    with theirs.computed(between) as expected:
        x = theirs.run()
    with (
        cached(ours.denoiser, DBCache(**settings), evals=EVALS, calls_per_eval=forwards),
        ours.computed(between) as computed,
    ):
        y = ours.run()
    assert computed == expected and forwards < len(computed) < EVALS * forwards
    assert close(y, x) and not close(y, bare, 1e-3)


@pytest.mark.parametrize(
    ("order", "settings"),
    [
        (1, {"warmup_steps": 4, "max_consecutive_steps": 2}),
        (2, {"warmup_steps": 5, "max_consecutive_steps": 1}),
    ],
)
def test_its_taylor_calibrator_is_our_predictor(order: int, settings: dict[str, Any]) -> None:
    """It takes the first difference at evaluation 3, so that its warm-up must be longer than the order by 3."""
    settings = {"threshold": 1.0, "first_blocks": 1, **settings}
    ours, theirs = WitnessLoop(FLUX), WitnessLoop(FLUX)
    enabled(theirs, calibrator=cache_dit.TaylorSeerCalibratorConfig(taylorseer_order=order), **settings)
    with cached(ours.denoiser, DBCache(**settings), predictor=f"taylor{order}", evals=EVALS):
        x = ours.run()
    assert close(x, theirs.run())


def test_its_foca_calibrator_is_our_predictor_where_computed_outputs_are_neighbours() -> None:
    """Where they lie apart it takes their difference for the slope of one evaluation, ours divides.

    From the fourth forecast in a row on it falls back to the last computed output; here there are three.
    """
    for limit, warmup, same in ((3, 9, True), (1, 8, False)):
        settings = {"threshold": 1.0, "warmup_steps": warmup, "max_consecutive_steps": limit}
        ours, theirs = WitnessLoop(WAN), WitnessLoop(WAN)
        enabled(theirs, calibrator=cache_dit.FoCaCalibratorConfig(), **settings)
        with cached(ours.denoiser, DBCache(**settings), predictor=FoCa(), evals=EVALS):
            x = ours.run()
        assert close(x, theirs.run()) == same


def test_theirs_decides_for_each_list_of_blocks() -> None:
    """HunyuanVideo has two, which it does not join: the first block of both always runs, of ours the first alone."""
    settings = {"threshold": 1.0, "first_blocks": 1, "warmup_steps": 2}
    ours, theirs = WitnessLoop(HUNYUAN), WitnessLoop(HUNYUAN)
    enabled(theirs, **settings)
    with theirs.computed("single_transformer_blocks.0") as expected:
        theirs.run()
    with cached(ours.denoiser, DBCache(**settings)), ours.computed("single_transformer_blocks.0") as computed:
        ours.run()
    assert len(expected) == EVALS and computed == [0, 1]


def test_its_counter_runs_on_where_it_does_not_know_the_number_of_evaluations() -> None:
    settings = {"threshold": 1.0, "first_blocks": 1, "warmup_steps": 2}
    ours, theirs = WitnessLoop(WAN), WitnessLoop(WAN)
    enabled(theirs, evals=None, **settings)
    with theirs.computed("blocks.1") as expected:
        for _ in range(2):
            theirs.run()
    with cached(ours.denoiser, DBCache(**settings)), ours.computed("blocks.1") as computed:
        for _ in range(2):
            ours.run()
    assert expected == [0, 1] and computed == [0, 1, 0, 1]
