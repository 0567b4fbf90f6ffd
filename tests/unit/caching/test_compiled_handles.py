"""A denoiser that torch compiled, or is called through another handle than the one that is cached."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from smoothbench.caching import Schedule, cached, calibrate, find_sites
from tests.support.linear_denoiser import Adapter
from tests.support.tiny_dit import TinyDiT, build_tiny, fora


def compile_in_place(dit: TinyDiT) -> None:
    dit.denoiser.compile(backend="eager")


def compile_handle(dit: TinyDiT) -> None:
    dit.denoiser = torch.compile(dit.denoiser, backend="eager")


def compile_blocks(dit: TinyDiT) -> None:
    dit.denoiser._repeated_blocks = ["BasicTransformerBlock"]  # what a class of diffusers declares
    dit.denoiser.compile_repeated_blocks(backend="eager", fullgraph=True)


def compile_each_block(dit: TinyDiT) -> None:
    blocks = dit.denoiser.transformer_blocks
    for i in range(len(blocks)):
        blocks[i] = torch.compile(blocks[i], backend="eager")


COMPILED = [compile_in_place, compile_handle, compile_blocks, compile_each_block]


@pytest.mark.parametrize("compiled", COMPILED)
@pytest.mark.parametrize("predictor", ["reuse", "taylor2"])
def test_it_runs_uncompiled_and_says_so(compiled: Callable[[TinyDiT], None], predictor: str) -> None:
    dit = build_tiny()
    schedule = fora(dit)
    with cached(dit.denoiser, schedule, predictor=predictor):
        expected = dit.run()
    compiled(dit)
    with (
        pytest.warns(UserWarning, match="DiTTransformer2DModel is compiled: here it runs uncompiled"),
        cached(dit.denoiser, schedule, predictor=predictor) as run,
    ):
        assert torch.equal(dit.run(), expected)
    assert run.calls == schedule.calls()


@pytest.mark.parametrize("compiled", COMPILED)
def test_its_calibration_is_the_uncompiled_one(compiled: Callable[[TinyDiT], None]) -> None:
    dit = build_tiny()
    expected = calibrate(dit.denoiser, dit.run)
    compiled(dit)
    with pytest.warns(UserWarning, match="is compiled"):
        curves = calibrate(dit.denoiser, dit.run)
    assert torch.equal(curves.l1, expected.l1) and curves.digest() == expected.digest()


def test_it_is_compiled_again_afterwards() -> None:
    dit = build_tiny()
    schedule = fora(dit)
    dit.denoiser.compile(backend="eager")
    call = dit.denoiser._compiled_call_impl
    with pytest.warns(UserWarning, match="is compiled"), cached(dit.denoiser, schedule):
        dit.run()
    assert dit.denoiser._compiled_call_impl is call


@pytest.mark.slow
def test_a_compiled_handle_around_the_cached_denoiser() -> None:
    """Its graphs are traced inside the context, and hold what the engine keeps in lists."""
    dit = build_tiny()
    schedule = fora(dit)
    with cached(dit.denoiser, schedule):
        expected = dit.run()
    inner = dit.denoiser
    dit.denoiser = torch.compile(inner, backend="eager")
    with cached(inner, schedule) as run:
        assert torch.equal(dit.run(), expected)
    assert run.calls == schedule.calls()


def test_a_denoiser_that_never_ran_is_named_on_exit(tiny: TinyDiT) -> None:
    other = copy.deepcopy(tiny.denoiser)
    message = "this DiTTransformer2DModel ran no forward: pass the very module"
    with pytest.raises(ValueError, match=message), cached(other, fora(tiny)):
        tiny.run()
    with pytest.raises(ValueError, match="saw no forward of this DiTTransformer2DModel"):
        calibrate(other, tiny.run)


def test_an_exception_is_not_hidden_by_a_run_that_never_began(tiny: TinyDiT) -> None:
    with pytest.raises(KeyError, match="mine"), cached(tiny.denoiser, fora(tiny)):
        raise KeyError("mine")


def test_a_wrapper_that_the_pipeline_does_not_call(tiny: TinyDiT) -> None:
    adapter = Adapter(tiny.denoiser)
    message = r"blocks\.0\.self_attn ran outside any forward of the Adapter"
    with pytest.raises(ValueError, match=message), cached(adapter, fora(tiny)):
        tiny.run()
    with pytest.raises(ValueError, match=message):
        calibrate(adapter, tiny.run)


def test_a_part_that_is_called_directly_is_not_served_from_the_cache(tiny: TinyDiT) -> None:
    block = tiny.denoiser.transformer_blocks[0]
    with pytest.raises(ValueError, match=r"blocks\.0\.ff ran outside"), cached(tiny.denoiser, fora(tiny)):
        tiny.run()
        assert block.norm1(torch.zeros(1, 4, 16), torch.zeros(1), torch.zeros(1).long())[0].shape == (
            1,
            4,
            16,
        )
        block.ff(torch.zeros(1, 4, 16))


def test_a_copy_made_inside_the_context_is_a_model_of_its_own(tiny: TinyDiT) -> None:
    before = tiny.run()
    with cached(tiny.denoiser, fora(tiny)) as run:
        inside = tiny.run()
        copied = TinyDiT(copy.deepcopy(tiny.denoiser))
        assert torch.equal(copied.run(), before)
        assert run.forwards == tiny.evals
    assert torch.equal(copied.run(), before)
    with cached(copied.denoiser, fora(copied)):
        assert torch.equal(copied.run(), inside)
    for parameter in copied.denoiser.parameters():
        parameter.data.zero_()
    assert not torch.equal(copied.run(), before)


class CountingBackend:
    """A backend of torch.compile that counts how often its graphs run."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            self.runs += 1
            return graph.forward(*args)

        return run


def blocks_in_place(dit: TinyDiT, backend: CountingBackend) -> int:
    dit.denoiser._repeated_blocks = ["BasicTransformerBlock"]  # what a class of diffusers declares
    dit.denoiser.compile_repeated_blocks(backend=backend, fullgraph=True)
    return 3


def blocks_by_handles(dit: TinyDiT, backend: CountingBackend) -> int:
    blocks = dit.denoiser.transformer_blocks
    for i in range(len(blocks)):
        blocks[i] = torch.compile(blocks[i], backend=backend)
    return 3


def branches_in_place(dit: TinyDiT, backend: CountingBackend) -> int:
    for block in dit.denoiser.transformer_blocks:
        block.attn1.compile(backend=backend)
    return 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "compiled, level",
    [
        (blocks_in_place, "span"),
        (blocks_by_handles, "span"),
        (branches_in_place, "branch"),
        (blocks_in_place, "denoiser"),
        (branches_in_place, "denoiser"),
    ],
)
def test_what_is_compiled_and_followed_as_a_whole_stays_compiled(
    compiled: Callable[[TinyDiT, CountingBackend], int], level: str
) -> None:
    dit, backend = build_tiny(), CountingBackend()
    bare = dit.run()
    schedule = Schedule.steps(find_sites(dit.denoiser, level), [e % 3 == 0 for e in range(dit.evals)])
    with cached(dit.denoiser, schedule):
        expected = dit.run()
    graphs = compiled(dit, backend)
    torch.testing.assert_close(dit.run(), bare)
    before = backend.runs
    assert before == graphs * dit.evals
    schedule = Schedule.steps(find_sites(dit.denoiser, level), [e % 3 == 0 for e in range(dit.evals)])
    with warnings.catch_warnings(action="error", category=UserWarning), cached(dit.denoiser, schedule) as run:
        torch.testing.assert_close(dit.run(), expected)
    assert run.calls == schedule.calls()
    assert backend.runs - before == graphs * dit.evals / 3
    torch.testing.assert_close(dit.run(), bare)
    assert backend.runs - before == graphs * dit.evals * 4 / 3


@pytest.mark.slow
def test_costs_of_compiled_blocks_are_counted(tiny: TinyDiT) -> None:
    expected = calibrate(tiny.denoiser, tiny.run, sites=find_sites(tiny.denoiser, "span")).trajectory
    blocks_in_place(tiny, CountingBackend())
    sites = find_sites(tiny.denoiser, "span")
    assert calibrate(tiny.denoiser, tiny.run, sites=sites).trajectory == expected
