"""Compiled schedules: one graph a row, the engine's outputs, and a model that is left as it was."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.caching.compiled import Compiled
from smoothbench.caching.evaluation_clock import Clock
from tests.support.tiny_dit import TinyDiT, build_tiny, fora

pytestmark = pytest.mark.slow  # torch traces graphs

FULL, NONE, ATTENTION, FEED_FORWARD = [1, 1], [0, 0], [1, 0], [0, 1]  # of each block
MIXED = [FULL, NONE, ATTENTION, NONE, FEED_FORWARD, ATTENTION, *[FULL, NONE] * 3]
KEPT = (4, 16, 16)  # rows, tokens and width of what a site gives
BYTES = 4 * 16 * 16 * 4  # of it


@pytest.fixture(autouse=True, scope="module")
def fresh_dynamo() -> Iterator[None]:
    """What torch remembers of compiled code is the process's, not this file's."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def tiny() -> TinyDiT:
    """One block of two sites, shared with its graphs: compiling takes its time."""
    dit = build_tiny()
    blocks: Any = dit.denoiser.transformer_blocks
    del blocks[1:]
    return dit


@pytest.fixture(scope="module")
def counter() -> CompileCounter:
    """A backend that runs graphs as they are and counts them."""
    return CompileCounter()


@pytest.fixture(scope="module")
def graphs(tiny: TinyDiT, counter: CompileCounter) -> Compiled:
    return Compiled(tiny.denoiser, counter)


def mixed(dit: TinyDiT) -> Schedule:
    """Full, cached and two kinds of mixed evaluations."""
    sites = find_sites(dit.denoiser)
    return Schedule.of(sites, [row * (len(sites) // 2) for row in MIXED])


@torch.inference_mode()
def sample(dit: TinyDiT, **run: Any) -> Tensor:
    """A run whose first input is like all others: torch compiles apart what was made outside."""
    return dit.run(**run)


def by_engine(dit: TinyDiT, schedule: Schedule, **run: Any) -> Tensor:
    with cached(dit.denoiser, schedule):
        return sample(dit, **run)


def close(output: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(output, wanted, atol=1e-4, rtol=0)


def untouched(denoiser: nn.Module) -> bool:
    return not any("forward" in vars(module) for module in denoiser.modules())


def alive() -> int:
    """Tensors in the process that look like kept outputs."""
    return sum(type(each) is Tensor and each.shape == KEPT for each in gc.get_objects())


def test_one_graph_for_each_distinct_row(tiny: TinyDiT) -> None:
    counter = CompileCounter()
    graphs, schedules = Compiled(tiny.denoiser, counter), (fora(tiny), mixed(tiny))
    expected = [by_engine(tiny, schedule) for schedule in schedules]
    assert not close(*expected) and counter.frame_count == 0
    for so_far in (2, 4), (4, 4):  # full and cached; then two mixed ones; then nothing new
        for schedule, wanted, count in zip(schedules, expected, so_far, strict=True):
            with graphs.following(schedule):
                assert close(sample(tiny), wanted) and close(sample(tiny), wanted)
            assert counter.frame_count == count
    assert untouched(tiny.denoiser)


def test_predictors_need_no_more_graphs(tiny: TinyDiT) -> None:
    predictor, counter = "taylor2", CompileCounter()
    graphs, schedules = Compiled(tiny.denoiser, counter), (fora(tiny), mixed(tiny))
    for schedule, count in zip(schedules, (2, 4), strict=True):
        with cached(tiny.denoiser, schedule, predictor=predictor) as run:
            expected = sample(tiny)
        with graphs.following(schedule, predictor=predictor):
            assert close(sample(tiny), expected) and close(sample(tiny), expected)
        assert counter.frame_count == count
        assert graphs.cache_bytes == run.cache_bytes
    assert not close(expected, by_engine(tiny, mixed(tiny)))


def test_batches_of_other_sizes_are_runs_of_their_own(tiny: TinyDiT, graphs: Compiled) -> None:
    with cached(tiny.denoiser, fora(tiny)) as run:
        expected = sample(tiny, batch=2), sample(tiny, batch=1)
    with graphs.following(fora(tiny)):
        assert close(sample(tiny, batch=2), expected[0]) and close(sample(tiny, batch=1), expected[1])
    assert graphs.cache_bytes == run.cache_bytes == 2 * BYTES  # of the larger
    with graphs.following(fora(tiny)):
        sample(tiny, batch=1)
    assert graphs.cache_bytes == 2 * BYTES / 2


def test_what_skips_nothing_keeps_nothing(tiny: TinyDiT, graphs: Compiled, counter: CompileCounter) -> None:
    """So that speed-ups are told against the bare model, compiled."""
    full, bare = Schedule.steps(find_sites(tiny.denoiser), [True] * tiny.evals), sample(tiny)
    before = counter.frame_count
    with graphs.following(full):
        assert close(sample(tiny), bare)
    assert graphs.cache_bytes == 0 and counter.frame_count == before + 1


def test_outputs_are_held_once_and_then_dropped(tiny: TinyDiT) -> None:
    """What a full evaluation computes anew is not held beside it, and nothing outlives the context."""
    gc.collect()
    gc.freeze()  # what is there already is not looked through at every evaluation
    counts, before = [], alive()

    def watching(graph: Callable[..., Any], inputs: Any) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            counts.append(alive() - before)
            return graph(*args)

        return run

    graphs = Compiled(tiny.denoiser, watching)
    try:
        with graphs.following(fora(tiny)):
            sample(tiny)
        assert counts == [0 if all(row) else 2 for row in fora(tiny).computed] and alive() == before
    finally:
        gc.unfreeze()


def test_two_branches_keep_apart(tiny: TinyDiT, graphs: Compiled, counter: CompileCounter) -> None:
    """Guidance in two forwards, announced and not: each has its own outputs, and they share the graphs."""

    @torch.inference_mode()
    def guided(tell: Callable[[int, float, int], None] = lambda e, t, branch: None) -> Tensor:
        x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(5))
        for e, t in enumerate(torch.linspace(999, 0, tiny.evals).long()):
            for branch, label in enumerate((3, 10)):
                tell(e, float(t), branch)
                noise = tiny.denoiser(x, timestep=t.expand(3), class_labels=torch.tensor([label] * 3)).sample
                x = x - (0.3, -0.2)[branch] * noise
        return x

    with cached(tiny.denoiser, fora(tiny), calls_per_eval=2) as run:
        expected, before = guided(), counter.frame_count
    for announced in (False, True):
        with graphs.following(fora(tiny), calls_per_eval=2) as clock:
            assert close(guided(clock.announce) if announced else guided(), expected)
        assert graphs.cache_bytes == run.cache_bytes == 2 * 2 * BYTES * 3 / 4
    assert counter.frame_count == before + 2


def test_a_schedule_that_does_not_fit_is_refused(tiny: TinyDiT, graphs: Compiled) -> None:
    other = Schedule(("blocks.9.ff",), ("ff",), ((True,), (False,)))
    with pytest.raises(ValueError, match=r"names site blocks\.9\.ff"), graphs.following(other):
        pass
    short = Schedule.steps(find_sites(tiny.denoiser), [True, False, True])
    with pytest.raises(ValueError, match="the schedule has 3 evaluations"), graphs.following(short):
        sample(tiny)
    with pytest.raises(ValueError, match="the run ended in evaluation 5"), graphs.following(fora(tiny)):
        sample(tiny, evals=5)
    assert untouched(tiny.denoiser)


def test_contexts_do_not_nest(tiny: TinyDiT, graphs: Compiled) -> None:
    with graphs.following(fora(tiny)):
        with pytest.raises(RuntimeError, match="already inside"), graphs.following(mixed(tiny)):
            pass
        sample(tiny)


def test_after_an_exception_the_model_is_untouched_and_the_next_run_is_clean(
    tiny: TinyDiT, graphs: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(e: int, t: float) -> None:
        if e == 5:
            raise KeyError("made")

    bare, expected, before = sample(tiny), by_engine(tiny, fora(tiny)), alive()
    with pytest.raises(KeyError, match="made"), graphs.following(fora(tiny)):
        sample(tiny, before=breaks)
    assert untouched(tiny.denoiser) and torch.equal(sample(tiny), bare) and alive() == before
    with graphs.following(fora(tiny)):
        assert close(sample(tiny), expected)


def test_a_forward_that_raises_ends_the_run_but_not_the_context(tiny: TinyDiT, graphs: Compiled) -> None:
    expected = by_engine(tiny, fora(tiny))

    def other_rows(clock: Clock) -> None:
        for e in range(4):
            clock.announce(e, None, 0)
            x = torch.zeros(4 if e < 3 else 2, 1, 8, 8)
            tiny.denoiser(x, timestep=torch.zeros(len(x)).long(), class_labels=torch.zeros(len(x)).long())

    with graphs.following(fora(tiny)) as clock, torch.inference_mode():
        with pytest.raises(ValueError, match="the batch changed"):
            other_rows(clock)
        assert close(tiny.run(before=lambda e, t: clock.announce(e, t, 0)), expected)
    assert untouched(tiny.denoiser)


def test_a_broken_run_cannot_go_on(tiny: TinyDiT) -> None:
    """What it had kept may be half of what the next evaluation reuses."""
    calls = []

    def failing(graph: Callable[..., Any], inputs: Any) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            calls.append(len(calls))
            if len(calls) == 4:
                raise MemoryError("made")
            return graph(*args)

        return run

    def forward(clock: Clock, e: int) -> None:
        clock.announce(e, None, 0)
        zeros = torch.zeros(4).long()
        tiny.denoiser(torch.zeros(4, 1, 8, 8), timestep=zeros, class_labels=zeros)

    with Compiled(tiny.denoiser, failing).following(fora(tiny)) as clock, torch.inference_mode():
        for e in range(3):
            forward(clock, e)
        with pytest.raises(MemoryError, match="made"):
            forward(clock, 3)
        with pytest.raises(ValueError, match="evaluation 4 reuses outputs of a run that broke"):
            forward(clock, 4)
