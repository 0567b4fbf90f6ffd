"""Sites at span and denoiser level: what is kept, what runs, what it costs, and how levels nest."""

import gc
import warnings
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from smoothbench.caching import (
    ErrorCurves,
    MacCounter,
    Schedule,
    Site,
    SmoothCache,
    Trajectory,
    cached,
    calibrate,
    find_sites,
)
from smoothbench.caching.mac_counter import site_costs
from smoothbench.caching.saved_sites import saved_sites
from tests.support.tiny_dit import TinyDiT, build_tiny

LEVELS = ("denoiser", "span", "branch")


@pytest.fixture
def tiny() -> TinyDiT:
    return build_tiny()


def every_second(sites: Sequence[Site], evals: int = 12) -> Schedule:
    return Schedule.steps(sites, [e % 2 == 0 for e in range(evals)], {"method": "x"})


@dataclass
class Stack:
    """An independent writing of reuse of blocks first to last: hooks that remember what they add to the stream."""

    blocks: Sequence[nn.Module]
    computes: bool = True
    added: Tensor | None = None

    def install(self) -> list:
        first = self.blocks[0].register_forward_pre_hook(self.before, with_kwargs=True)
        return [first, self.blocks[-1].register_forward_hook(self.after)]

    def before(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        self.entered = args[0] if args else kwargs["hidden_states"]

    def after(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        if self.computes:
            self.added = output - self.entered
            return output
        return self.entered + self.added


def by_hooks(tiny: TinyDiT, spans: Sequence[tuple[int, int]]) -> Tensor:
    stacks = [Stack(tiny.denoiser.transformer_blocks[a : b + 1]) for a, b in spans]
    hooks = [hook for stack in stacks for hook in stack.install()]

    def before(e: int, t: float) -> None:
        for stack in stacks:
            stack.computes = e % 2 == 0

    x = tiny.run(before=before)
    for hook in hooks:
        hook.remove()
    return x


@pytest.mark.parametrize("spans", [[(0, 2)], [(1, 2)], [(0, 0), (1, 2)], [(2, 2)]])
def test_spans_are_reused_as_an_independent_writing_does(tiny: TinyDiT, spans: list[tuple[int, int]]) -> None:
    bare = tiny.run()
    sites = find_sites(tiny.denoiser, "span", spans)
    with cached(tiny.denoiser, every_second(sites)) as run:
        x = tiny.run()
    assert torch.equal(x, by_hooks(tiny, spans)) and not torch.allclose(x, bare)
    assert run.calls == dict.fromkeys([site.name for site in sites], 6) and run.skipped_share == 0.5
    assert torch.equal(tiny.run(), bare)


def test_the_denoiser_s_output_is_reused_and_costs_nothing(tiny: TinyDiT) -> None:
    bare = tiny.run()
    sites = find_sites(tiny.denoiser, "denoiser")
    outputs: list[Tensor] = []
    counts: list[int] = []
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(), cached(tiny.denoiser, every_second(sites, 4)) as run:
        for e in range(4):
            with MacCounter() as counter:
                out = tiny.denoiser(
                    torch.randn(2, 1, 8, 8, generator=generator),
                    timestep=torch.tensor([900 - e] * 2),
                    class_labels=torch.tensor([1, 2]),
                )
            outputs.append(out.sample)
            counts.append(counter.macs().total)
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[2], outputs[3])
    assert not torch.equal(outputs[1], outputs[2])
    assert counts[1] == counts[3] == 0 < counts[0] and run.calls == {"denoiser": 2}
    assert torch.equal(tiny.run(), bare)


@pytest.mark.parametrize("levels", [LEVELS, "denoiser", "span", ("span", "branch"), "branch"])
def test_costs_are_exclusive_and_add_up(tiny: TinyDiT, levels: str | tuple[str, ...]) -> None:
    def call() -> None:
        tiny.run(evals=1, batch=1)

    with MacCounter() as counter:
        call()
    spans = [(0, 2), (1, 2)] if "span" in levels else None
    sites, rest = site_costs(tiny.denoiser, find_sites(tiny.denoiser, levels, spans), call, samples=1)
    assert sum(site.macs for site in sites) + rest.total == counter.macs().total
    assert rest.total == 0 or "denoiser" not in levels
    branches = find_sites(tiny.denoiser)
    if "branch" in levels:
        known = {s.name: s.macs for s in site_costs(tiny.denoiser, branches, call, samples=1)[0]}
        assert known == {site.name: site.macs for site in sites if site.level == "branch"}


@pytest.mark.parametrize("predictor", ["reuse", "taylor1"])
def test_mixed_levels_cost_what_torch_counts(tiny: TinyDiT, predictor: str) -> None:
    """Bits of all three levels at random: the cost by counts is what torch's counter sees."""
    sites = find_sites(tiny.denoiser, LEVELS, [(0, 2), (1, 2)])
    measured, rest = site_costs(tiny.denoiser, sites, lambda: tiny.run(evals=1, batch=1), samples=1)
    generator = torch.Generator().manual_seed(3)
    bits = torch.rand(12, len(sites), generator=generator) < 0.7
    bits[0] = True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        schedule = Schedule.of(sites, bits.int().tolist(), {"method": "x"})
    assert "inside a span or denoiser that it reuses" in str(caught[0].message)
    with MacCounter() as counter, cached(tiny.denoiser, schedule, predictor=predictor) as run:
        tiny.run(batch=1)
    assert run.calls == schedule.calls()
    trajectory = Trajectory(measured, tuple(range(12)), rest.total, rest.linear)
    assert trajectory.cost(run.calls).total == counter.macs().total


def test_schedules_of_all_levels_are_json(tiny: TinyDiT) -> None:
    sites = find_sites(tiny.denoiser, LEVELS, [(0, 1), (2, 2)])
    schedule = Schedule.of(sites, [[1] * 9, [1, 1, 0, 1, 1, 1, 0, 0, 0], [0] * 9], {"method": "x"})
    data = schedule.to_json()
    assert data["denoiser"] == [1, 1, 0] and data["span-0-1"] == [1, 1, 0] and data["span-2-2"] == [1, 0, 0]
    assert Schedule.from_json(data, sites) == schedule


def test_error_curves_at_each_level(tiny: TinyDiT, tmp_path: Path) -> None:
    sites = find_sites(tiny.denoiser, LEVELS)
    curves = calibrate(tiny.denoiser, tiny.run, sites=sites)
    branches = calibrate(tiny.denoiser, tiny.run)
    assert torch.equal(curves.l1[:, 2:], branches.l1) and curves.trajectory.rest_macs == 0
    assert curves.l1[:, :2].isfinite().all() and (curves.l1[:, :2] > 0).all()
    curves.save(tmp_path / "curves.npz")
    again = ErrorCurves.load(tmp_path / "curves.npz")
    assert again.trajectory == curves.trajectory and torch.equal(again.l1, curves.l1)
    at_span = calibrate(tiny.denoiser, tiny.run, sites=find_sites(tiny.denoiser, "span"))
    schedule = SmoothCache(alpha=10.0).plan(at_span.trajectory, at_span)
    with cached(tiny.denoiser, schedule) as run:
        tiny.run()
    assert run.calls == {"blocks.0-2.span": 4}


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        ([(0, 3)], "it has blocks 0 to 2"),
        ([(2, 1)], "no span of blocks 2 to 1"),
        ([(-1, 1)], "no span of blocks -1 to 1"),
    ],
)
def test_spans_that_are_not_there(tiny: TinyDiT, spans: list[tuple[int, int]], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        find_sites(tiny.denoiser, "span", spans)


def test_spans_that_overlap_and_levels_that_are_not(tiny: TinyDiT) -> None:
    sites = find_sites(tiny.denoiser, "span", [(0, 1), (1, 2)])
    with pytest.raises(ValueError, match=r"blocks\.0-1\.span and blocks\.1-2\.span overlap"):
        every_second(sites)
    with pytest.raises(ValueError, match="overlap"):
        calibrate(tiny.denoiser, tiny.run, sites=sites)
    with pytest.raises(ValueError, match="the levels of sites are denoiser, span, branch, not 'block'"):
        find_sites(tiny.denoiser, "block")


def test_a_schedule_file_says_which_span_it_is_for(tiny: TinyDiT, tmp_path: Path) -> None:
    for spans in ([(1, 2)], [(0, 0), (1, 2)], [(0, 2)]):
        schedule = every_second(find_sites(tiny.denoiser, "span", spans))
        schedule.save(tmp_path / "spans.json")
        assert (
            Schedule.load(tmp_path / "spans.json", saved_sites(tmp_path / "spans.json", tiny.denoiser))
            == schedule
        )


def test_what_the_caller_does_to_an_output_leaves_the_kept_one_alone(tiny: TinyDiT) -> None:
    x, schedule = torch.ones(2, 1, 8, 8), every_second(find_sites(tiny.denoiser, "denoiser"), 3)
    schedule = Schedule.steps(find_sites(tiny.denoiser, "denoiser"), [True, False, False], schedule.meta)
    outputs = []
    with torch.inference_mode(), cached(tiny.denoiser, schedule):
        for t in (900, 800, 700):
            out = tiny.denoiser(x, timestep=torch.tensor([t, t]), class_labels=torch.tensor([1, 2])).sample
            outputs.append(out.clone())
            out.mul_(2)
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])


def test_a_run_that_is_kept_holds_no_denoiser() -> None:
    tiny = build_tiny()
    with cached(tiny.denoiser, every_second(find_sites(tiny.denoiser, "span"))) as run:
        tiny.run()
    alive = weakref.ref(tiny.denoiser)
    del tiny
    gc.collect()
    assert alive() is None and run.calls == {"blocks.0-2.span": 6}
