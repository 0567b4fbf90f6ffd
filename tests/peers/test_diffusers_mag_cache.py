"""diffusers' MagCache measures the same ratios, computes the same evaluations and gives the same samples as ours."""

import json

import pytest
from diffusers.hooks import MagCacheConfig

from baselines.magcache import MagCache
from smoothbench.caching import cached
from tests.support.witness_loop import EVALS, WitnessLoop, close, evaluations

LAST = {"FluxTransformer2DModel": "single_transformer_blocks.2", "WanTransformer3DModel": "blocks.2"}
CASES = [(0.1, 3, 0.2), (0.5, 2, 0.0), (9.0, 4, 0.4)]


def ratios_of_theirs(loop: WitnessLoop, capsys: pytest.CaptureFixture[str]) -> list[float]:
    """The ratios that it prints after a run that it calibrates in."""
    loop.denoiser.enable_cache(MagCacheConfig(calibrate=True, num_inference_steps=EVALS))
    loop.run(loop.denoiser.cache_context)
    loop.denoiser.disable_cache()
    ratios: list[float] = json.loads(capsys.readouterr().out.splitlines()[-2])
    return ratios


@pytest.mark.parametrize("name", LAST)
def test_the_same_ratios_and_evaluations(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    loop = WitnessLoop(name)
    bare, denoiser = loop.run(), loop.denoiser
    ratios = ratios_of_theirs(loop, capsys)
    trajectory = loop.trajectory("span")
    for threshold, k_max, retention in CASES:
        config = MagCacheConfig(threshold, k_max, retention, EVALS, ratios)
        denoiser.enable_cache(config)
        with loop.computed(LAST[name]) as theirs:
            expected = loop.run(denoiser.cache_context)
        denoiser.disable_cache()
        schedule = MagCache(threshold, k_max, retention).plan_on(trajectory, loop.batch(trajectory))
        assert schedule.meta["ratios"] == pytest.approx(ratios, rel=1e-5)
        with cached(denoiser, schedule) as run:
            x = loop.run()
        assert evaluations(run.realised) == theirs and 1 < len(theirs) < EVALS
        assert close(x, expected) and not close(x, bare, 1e-3)
