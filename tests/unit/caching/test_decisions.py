"""Decisions inside a forward: probes on outputs and inputs, observation, what they cost, and what is refused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smoothbench.caching import Evaluation, MacCounter, Probe, Run, Trajectory, cached, find_sites
from smoothbench.caching.mac_counter import site_costs
from smoothbench.caching.probe_costs import probe_costs
from tests.support.small_policies import FirstBlock, FirstInput, LastBlockChecks, change
from tests.support.tiny_dit import TinyDiT

LEVELS = ("denoiser", "span", "branch")


def in_two_forwards(tiny: TinyDiT, run: Run | None = None) -> Tensor:
    """The trajectory of `tiny.run()` with a forward for the conditional rows and one for the others."""
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        for e, t in enumerate(torch.linspace(999, 0, tiny.evals).long()):
            outputs = []
            for forward_index, labels in enumerate((torch.arange(2), torch.full((2,), 10))):
                if run is not None:
                    run.step(e, float(t), forward_index)
                outputs.append(tiny.denoiser(x, timestep=t.expand(2), class_labels=labels).sample)
            x = x - 0.1 * (outputs[0] + outputs[1])
    return x


@dataclass
class Blocks:
    """An independent writing: the stack of blocks is run by hooks that leave blocks out."""

    tiny: TinyDiT
    added: Any = None

    def run(self, computes: Callable[["Blocks", Tensor], bool], first: int) -> tuple[Tensor, list[bool]]:
        """Run with blocks `first` to the last reused where `computes`, asked with their input, says so."""
        blocks, decided = self.tiny.denoiser.transformer_blocks, list[bool]()

        def before(module: nn.Module, args: Any, kwargs: Any) -> None:
            self.entered = args[0] if args else kwargs["hidden_states"]
            self.kwargs = kwargs
            decided.append(computes(self, self.entered))

        def after(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            if decided[-1]:
                self.added = output - self.entered
                return output
            return self.entered + self.added

        hooks = [blocks[first].register_forward_pre_hook(before, with_kwargs=True)]
        hooks.append(blocks[-1].register_forward_hook(after))
        x = self.tiny.run()
        for hook in hooks:
            hook.remove()
        return x, decided


def test_a_decision_after_the_first_block(tiny: TinyDiT) -> None:
    entered: dict[str, Any] = {"last": None}
    tiny.denoiser.transformer_blocks[0].register_forward_pre_hook(
        lambda module, args, kwargs: entered.update(x=kwargs.get("hidden_states", args[0] if args else None)),
        with_kwargs=True,
    )

    def computes(blocks: Blocks, stream: Tensor) -> bool:
        added = stream - entered["x"]
        computes = entered["last"] is None or change(added, entered["last"]) > 0.3
        entered["last"] = added if computes else entered["last"]
        return computes

    expected, decided = Blocks(tiny).run(computes, first=1)
    bare, policy = tiny.run(), FirstBlock(0.3)
    for _ in range(2):  # the second run starts clean
        with cached(tiny.denoiser, policy, evals=12) as run:
            x = tiny.run()
        assert torch.equal(x, expected) and not torch.equal(x, bare)
        assert run.realised == [(True, bit) for bit in decided] and 2 < sum(decided) < 11
        assert run.calls == {"blocks.0-0.span": 12, "blocks.1-2.span": sum(decided)} and run.probe_calls == {}
    assert torch.equal(tiny.run(), bare)


@pytest.mark.parametrize("level", ["span", "denoiser", "branch"])
def test_a_decision_after_the_first_input(tiny: TinyDiT, level: str) -> None:
    """The whole stack is given up at the first attention; what ran of it is in the cost."""
    state: dict[str, Any] = {"last": None, "added": 0.0}
    first = tiny.denoiser.transformer_blocks[0]

    def computes(blocks: Blocks, stream: Tensor) -> bool:
        value = first.norm1(stream, blocks.kwargs["timestep"], blocks.kwargs["class_labels"])[0]
        if state["last"] is not None:
            state["added"] += change(value, state["last"])
        computes = state["last"] is None or state["added"] >= 0.3
        state.update(last=value, added=0.0 if computes else state["added"])
        return computes

    bare = tiny.run()
    policy, sites = FirstInput(0.3, level), find_sites(tiny.denoiser, level)
    probes = policy.choose_probes(tiny.denoiser)
    call = lambda: tiny.run(evals=1, batch=1)  # noqa: E731
    measured, rest = site_costs(tiny.denoiser, sites, call, samples=1)
    approaches = probe_costs(tiny.denoiser, sites, probes, call, samples=1)
    trajectory = Trajectory(measured, tuple(range(12)), rest.total, rest.linear, approaches)
    with MacCounter() as counter, cached(tiny.denoiser, policy, evals=12) as run:
        tiny.run(batch=1)
    assert trajectory.cost({**run.calls, **run.probe_calls}).total == counter.macs().total
    with cached(tiny.denoiser, policy, evals=12) as run:
        x = tiny.run()
    assert 0 < run.skipped_share < 1 and not torch.equal(x, bare)
    skipped = 12 - next(iter(run.calls.values()))
    assert list(run.probe_calls.values()) == ([] if level == "branch" else [skipped])
    if level == "span":
        expected, decided = Blocks(tiny).run(computes, first=0)
        assert torch.equal(x, expected) and run.realised == [(bit,) for bit in decided]
        assert [a.name for a in approaches] == ["blocks.0-2.span up to blocks.0.self_attn"]
        assert 0 < approaches[0].macs < measured[0].macs
    assert torch.equal(tiny.run(), bare)


def test_what_the_predictor_would_have_given_is_seen(tiny: TinyDiT) -> None:
    """The second writing keeps the last block's outputs and extrapolates them itself."""
    kept: list[tuple[int, Tensor]] = []
    errors: list[float] = []

    class Watching(LastBlockChecks):
        def observe(self, site: Any, evaluation: Evaluation, predicted: Any, computed: Any) -> None:
            super().observe(site, evaluation, predicted, computed)
            if site.name == "blocks.2-2.span":
                if len(kept) >= 2:
                    (e1, y1), (e0, y0) = kept[-1], kept[-2]
                    forecast = y1 + (evaluation.e - e1) / (e1 - e0) * (y1 - y0)
                    torch.testing.assert_close(predicted()[0], forecast)
                    errors.append(change(forecast, computed[0]))
                kept.append((evaluation.e, computed[0]))

    bare = tiny.run()
    with cached(tiny.denoiser, Watching(0.05), predictor="taylor1", evals=12) as run:
        x = tiny.run()
    assert run.calls["blocks.2-2.span"] == 12 and 1 < run.calls["blocks.0-1.span"] < 12
    expected = [error > 0.05 for error in errors[:-1]]  # the check delays by one evaluation
    assert [bits[0] for bits in run.realised][3:] == expected and not torch.equal(x, bare)


@pytest.mark.parametrize("policy", [FirstBlock(0.3), FirstInput(0.3), LastBlockChecks(0.05)])
def test_guidance_in_two_forwards(tiny: TinyDiT, policy: Any) -> None:
    """Each forward has its own kept outputs and decisions: as in a run of its own where nothing mixes the two."""
    bare = in_two_forwards(tiny)
    found = []
    for _ in range(2):
        with cached(tiny.denoiser, policy, evals=12, calls_per_eval=2) as run:
            found.append(in_two_forwards(tiny))
        with cached(tiny.denoiser, policy, evals=12) as announced:
            found.append(in_two_forwards(tiny, announced))
        assert run.calls == announced.calls and run.forwards == 24 and 0 < run.skipped_share < 1
        assert len(run.realised) == 12
    assert all(torch.equal(x, found[0]) for x in found) and not torch.equal(found[0], bare)
    assert torch.equal(in_two_forwards(tiny), bare)


@dataclass
class Inputs:
    """Look at the inputs of skipped branches."""

    seen: list[tuple[int, Tensor]]

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        return [Probe(f"blocks.1.{kind}", "input") for kind in ("self_attn", "ff")]

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return [evaluation.e % 2 == 0] * len(evaluation.sites)

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        self.seen.append((evaluation.e, value))
        return self.decide(evaluation)


def test_the_input_of_a_skipped_branch(tiny: TinyDiT) -> None:
    class Blind(Inputs):
        def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
            return []

    sites, policy = find_sites(tiny.denoiser), Inputs([])
    call = lambda: tiny.run(evals=1, batch=1)  # noqa: E731
    measured, rest = site_costs(tiny.denoiser, sites, call, samples=1)
    assert probe_costs(tiny.denoiser, sites, policy.choose_probes(tiny.denoiser), call, 1) == ()
    with MacCounter() as counter, cached(tiny.denoiser, policy) as run:
        x = tiny.run(batch=1)
    with cached(tiny.denoiser, Blind([])):
        torch.testing.assert_close(x, tiny.run(batch=1))
    assert len(policy.seen) == 24 and all(value.shape == (2, 16, 16) for _, value in policy.seen)
    spent = Trajectory(measured, tuple(range(12)), rest.total, rest.linear).cost(run.calls).total
    assert counter.macs().total == spent  # a norm costs no multiply-accumulates beside its modulation


def test_costs_are_those_of_an_evaluation_also_in_two_forwards(tiny: TinyDiT) -> None:
    """Counts are of forwards, costs of evaluations: half a count for each forward."""

    def call() -> None:
        in_two_forwards(replace(tiny, evals=1))

    policy, sites = FirstInput(0.3), find_sites(tiny.denoiser, "span")
    measured, rest = site_costs(tiny.denoiser, sites, call, samples=2)
    approaches = probe_costs(tiny.denoiser, sites, policy.choose_probes(tiny.denoiser), call, samples=2)
    trajectory = Trajectory(measured, tuple(range(12)), rest.total, rest.linear, approaches)
    with MacCounter() as counter, cached(tiny.denoiser, policy, evals=12, calls_per_eval=2) as run:
        in_two_forwards(tiny)
    calls = {name: count / 2 for name, count in {**run.calls, **run.probe_calls}.items()}
    assert 0 < run.skipped_share < 1 and 2 * trajectory.cost(calls).total == counter.macs().total
