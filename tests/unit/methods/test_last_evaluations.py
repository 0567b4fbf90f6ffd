"""Methods that decide in the run and compute its last evaluations must be told how many there are."""

from collections.abc import Callable

import pytest

from baselines.adacache import AdaCache
from baselines.easycache import EasyCache
from smoothbench.caching import cached
from smoothbench.caching.policy import DynamicPolicy
from tests.support.tiny_dit import TinyDiT

METHODS: dict[str, tuple[Callable[[], DynamicPolicy], int]] = {
    "AdaCache": (lambda: AdaCache(scale=100.0), 2),
    "EasyCache": (lambda: EasyCache(12.0, 1), 1),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_timesteps_say_which_evaluations_are_the_last(tiny: TinyDiT, name: str) -> None:
    method, last = METHODS[name]
    with cached(tiny.denoiser, method(), coordinates=[float(-e) for e in range(12)]) as run:
        tiny.run(before=lambda e, t: run.step(e, float(-e)))
    assert [bits[0] for bits in run.realised][-last - 1 :] == [False] + [True] * last


@pytest.mark.parametrize("name", METHODS)
def test_where_nobody_says_how_many_there_are_the_run_is_refused(tiny: TinyDiT, name: str) -> None:
    """Nothing would be computed at the end, in silence."""
    said = rf"{name} must know the number of evaluations: cached\(\.\.\., evals=\.\.\.\)"
    with pytest.raises(ValueError, match=said), cached(tiny.denoiser, METHODS[name][0]()):
        tiny.run()
