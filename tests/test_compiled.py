"""Compiled schedules: one graph a row, the engine's outputs, and a model that is left as it was."""

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.caching.clock import Clock
from smoothbench.caching.compiled import Compiled
from tests.conftest import TinyDiT, fora

EVALS = 12
MIXED = [[1] * 6, [0] * 6, [1, 0] * 3, [0] * 6, [0, 1] * 3, [1, 0] * 3, *[[1] * 6, [0] * 6] * 3]


@pytest.fixture(autouse=True)
def fresh_dynamo() -> Iterator[None]:
    """What torch remembers of compiled code is the process's, not the test's."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def counter() -> CompileCounter:
    """A backend that runs graphs as they are and counts them."""
    return CompileCounter()


@pytest.fixture
def graphs(tiny: TinyDiT, counter: CompileCounter) -> Compiled:
    return Compiled(tiny.denoiser, counter)


def mixed(dit: TinyDiT) -> Schedule:
    """Full, cached and two kinds of mixed evaluations."""
    return Schedule.of(find_sites(dit.denoiser), MIXED)


def engine(dit: TinyDiT, schedule: Schedule, **run: Any) -> Tensor:
    with cached(dit.denoiser, schedule):
        return dit.run(**run)


def untouched(denoiser: nn.Module) -> bool:
    return not any(key in vars(module) for module in denoiser.modules() for key in ("forward", "_compiled"))


def test_one_graph_for_each_distinct_row(tiny: TinyDiT, graphs: Compiled, counter: CompileCounter) -> None:
    every, by_kind = fora(tiny), mixed(tiny)
    expected = [engine(tiny, schedule) for schedule in (every, by_kind)]
    assert not torch.allclose(*expected, atol=1e-2)
    for _ in range(2):
        for schedule, wanted, graphs_so_far in ((every, expected[0], 2), (by_kind, expected[1], 4)):
            with graphs.following(schedule):
                for _ in range(2):
                    torch.testing.assert_close(tiny.run(), wanted, atol=1e-4, rtol=0)
            seen = counter.frame_count
            assert seen == graphs_so_far or (seen == 4 and schedule is every)
    assert counter.frame_count == 4 == len({tuple(row) for row in (*every.computed, *by_kind.computed)})
    assert untouched(tiny.denoiser)


def test_what_skips_nothing_is_the_bare_model(
    tiny: TinyDiT, graphs: Compiled, counter: CompileCounter
) -> None:
    full = Schedule.steps(find_sites(tiny.denoiser), [True] * EVALS)
    with graphs.following(full):
        torch.testing.assert_close(tiny.run(), tiny_bare(tiny), atol=1e-4, rtol=0)
    assert graphs.cache_bytes == 0 and counter.frame_count == 1


def tiny_bare(tiny: TinyDiT) -> Tensor:
    """The same from a twin, as the model itself is following a schedule."""
    from tests.conftest import build_tiny

    return build_tiny().run()
