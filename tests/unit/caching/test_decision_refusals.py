"""What cannot be decided inside a forward: probes that are not reached, and sites that have run already."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from torch import nn

from smoothbench.caching import Evaluation, Probe, cached, find_sites
from tests.support.tiny_dit import TinyDiT


@dataclass
class ByFunctions:
    """A policy by three functions."""

    probes: Sequence[Probe]
    first: Callable[[Evaluation], Sequence[bool]]
    then: Callable[[Evaluation], Sequence[bool]]
    spans: Sequence[tuple[int, int]] = ((0, 0), (1, 2))
    levels: Sequence[str] = ("span",)

    def choose_sites(self, denoiser: nn.Module) -> Any:
        return find_sites(denoiser, self.levels, self.spans)

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        return self.probes

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return self.first(evaluation)

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        return self.then(evaluation)


def full(evaluation: Evaluation) -> list[bool]:
    return [True] * len(evaluation.sites)


def none(evaluation: Evaluation) -> list[bool]:
    return [False] * len(evaluation.sites)


FIRST = Probe("blocks.0-0.span")
INSIDE = Probe("blocks.1.ff", "input")
REFUSED = {
    "decide() reuses the probe's site": (
        ByFunctions([FIRST], none, full),
        r"decide\(\) reuses blocks\.0-0\.span, but its probe the output of blocks\.0-0\.span is that of it",
    ),
    "decide() reuses what is around the probe": (
        ByFunctions([INSIDE], none, full),
        r"decide\(\) reuses blocks\.1-2\.span, but its probe the input of blocks\.1\.ff lies in it",
    ),
    "decide_after() reuses what is around a later probe": (
        ByFunctions([FIRST, INSIDE], full, lambda evaluation: [True, False]),
        r"decide_after\(\) reuses blocks\.1-2\.span, but its probe the input of blocks\.1\.ff lies in it",
    ),
    "decide_after() changes what has run": (
        ByFunctions([FIRST], full, none),
        r"decide_after changes blocks\.0-0\.span, which has run already when the output of",
    ),
    "decide_after() reuses what is around a site that has run": (
        ByFunctions([FIRST], full, none, levels=("denoiser", "span")),
        r"decide_after changes blocks\.0-0\.span",
    ),
    "a site that is not there": (
        ByFunctions([Probe("blocks.9.ff", "input")], full, full),
        r"probe on the input of blocks\.9\.ff: DiTTransformer2DModel has no such site",
    ),
    "a span that is not there": (
        ByFunctions([Probe("blocks.0-9.span", "input")], full, full),
        r"probe on the input of blocks\.0-9\.span: no span of blocks 0 to 9",
    ),
    "an output that is not decided on": (
        ByFunctions([Probe("blocks.0.ff")], full, full),
        r"none of the sites that the method decides on, blocks\.0-0\.span to blocks\.1-2\.span",
    ),
    "the denoiser's input": (
        ByFunctions([Probe("denoiser", "input")], full, full),
        r"evaluation\.hidden_states",
    ),
    "too few bits": (
        ByFunctions([FIRST], full, lambda evaluation: [True]),
        r"ByFunctions decided after the output of blocks\.0-0\.span on 1 of 2 sites",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_decided_is_refused(tiny: TinyDiT, case: str) -> None:
    bare, (policy, message) = tiny.run(), REFUSED[case]
    with pytest.raises(ValueError, match=message), cached(tiny.denoiser, policy, evals=12):
        tiny.run()
    assert torch.equal(tiny.run(), bare)


def test_a_probe_is_of_an_input_or_an_output() -> None:
    with pytest.raises(ValueError, match="a probe is of a site's 'output' or 'input', not 'norm'"):
        Probe("blocks.0.ff", "norm")


def test_sites_that_ran_may_be_reused_from_the_probe_on(tiny: TinyDiT) -> None:
    """An inner probe gives up the span around it in the middle; a site before it keeps its bits."""
    policy = ByFunctions([INSIDE], full, lambda evaluation: [True, evaluation.e % 2 == 0])
    with cached(tiny.denoiser, policy, evals=12) as run:
        x = tiny.run()
    assert run.calls == {"blocks.0-0.span": 12, "blocks.1-2.span": 6}
    assert run.probe_calls == {"blocks.1-2.span up to blocks.1.ff": 6}
    blind = replace(policy, probes=[], first=policy.then)
    with cached(tiny.denoiser, blind, evals=12):
        assert torch.equal(x, tiny.run())


def test_a_hook_that_would_not_see_the_end_of_its_module_is_refused(tiny: TinyDiT) -> None:
    policy = ByFunctions([INSIDE], full, lambda evaluation: [True, evaluation.e % 2 == 0])
    with cached(tiny.denoiser, policy):
        tiny.run()
    add_hook_to_module(tiny.denoiser.transformer_blocks[1], ModelHook())
    with (
        pytest.raises(ValueError, match=r"transformer_blocks\.1 has a hook of another library"),
        cached(tiny.denoiser, policy),
    ):
        tiny.run()
