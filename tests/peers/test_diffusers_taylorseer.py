"""diffusers' TaylorSeer and ours: the same forecasts, masks that differ by one evaluation after the warm-up."""

import re
from typing import Any

import pytest
import torch
from diffusers import TaylorSeerCacheConfig
from torch import Tensor

from baselines.taylorseer import TaylorSeer
from smoothbench.caching import Schedule, cached
from tests.support.witness_loop import EVALS, WitnessLoop, close, evaluations

NAME = "WanTransformer3DModel"


def theirs(
    loop: WitnessLoop, interval: int, before: int, order: int, **more: Any
) -> tuple[Tensor, list[int]]:
    """Its sample, and the evaluations that it computes: all branches together."""
    paths = [re.escape(site.path) for site in loop.trajectory().sites]
    config = TaylorSeerCacheConfig(interval, before, max_order=order, cache_identifiers=paths, **more)
    loop.denoiser.enable_cache(config)
    with loop.computed("blocks.1.attn1") as attention, loop.computed("blocks.2.ffn") as last:
        x = loop.run(loop.denoiser.cache_context)
    loop.denoiser.disable_cache()
    assert attention == last
    return x, last


@pytest.mark.parametrize(("before", "order"), [(1, 2), (2, 1), (2, 2)])
def test_with_interval_2_the_same_evaluations_are_computed(before: int, order: int) -> None:
    loop = WitnessLoop(NAME)
    expected, computed = theirs(loop, 2, before, order, taylor_factors_dtype=torch.float32)
    schedule = TaylorSeer(2, first_enhance=before).plan(loop.trajectory())
    with cached(loop.denoiser, schedule, predictor=f"taylor{order}") as run:
        x = loop.run()
    assert evaluations(run.realised) == computed
    assert close(x, expected, 1e-4)


@pytest.mark.parametrize("order", [1, 2])
def test_with_longer_intervals_theirs_computes_one_more_after_the_warm_up(order: int) -> None:
    """It counts them from the second evaluation after the warm-up on, we from the warm-up's last."""
    loop = WitnessLoop(NAME)
    expected, computed = theirs(loop, 4, 2, order, taylor_factors_dtype=torch.float32)
    trajectory = loop.trajectory()
    assert computed == [0, 1, 3, 7, 11]
    assert evaluations(TaylorSeer(4, first_enhance=2).plan(trajectory).computed) == [0, 1, 5, 9]
    schedule = Schedule.steps(trajectory.sites, [e in computed for e in range(EVALS)])
    with cached(loop.denoiser, schedule, predictor=f"taylor{order}"):
        x = loop.run()
    assert close(x, expected, 1e-4)


def test_its_default_keeps_the_differences_in_bfloat16() -> None:
    loop = WitnessLoop(NAME)
    rounded, _ = theirs(loop, 2, 2, 1)
    exact, _ = theirs(loop, 2, 2, 1, taylor_factors_dtype=torch.float32)
    assert close(rounded, exact, 3e-2) and not close(rounded, exact, 1e-4)


def test_its_counter_runs_on_into_the_next_run() -> None:
    loop = WitnessLoop(NAME)
    paths = [re.escape(site.path) for site in loop.trajectory().sites]
    loop.denoiser.enable_cache(TaylorSeerCacheConfig(5, 2, cache_identifiers=paths))
    with loop.computed("blocks.2.ffn") as computed:
        for _ in range(2):
            loop.run(loop.denoiser.cache_context)
    loop.denoiser.disable_cache()
    assert computed == [0, 1, 3, 8, 1, 6, 11]  # no warm-up in the second
