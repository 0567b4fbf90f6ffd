"""A span gives its main stream first, and what it gave for a check alone is counted, shown and discarded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smoothbench.caching import Evaluation, Probe, Schedule, Site, cached, find_sites, split_spans
from tests.support.tiny_denoisers import TINY
from tests.support.tiny_dit import TinyDiT


@dataclass
class DiscardLast:
    """Predict everything from the `start`-th evaluation on, and compute the last block for nothing."""

    start: int = 1
    level: str = "span"
    shapes: list[torch.Size] = field(default_factory=list)

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        return split_spans(denoiser, last=1) if self.level == "span" else find_sites(denoiser)

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        full = evaluation.e < self.start
        return [*[full] * (len(evaluation.sites) - 1), True]

    def observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> bool | None:
        if site != evaluation.sites[-1]:
            return None
        self.shapes += [leaf.shape for leaf in computed]
        return evaluation.e < self.start


@torch.no_grad()
def sampled(name: str, denoiser: nn.Module) -> list[Tensor]:
    return [denoiser(**TINY[name].at(level), return_dict=False)[0] for level in (0.9, 0.6, 0.3)]


@pytest.mark.parametrize("name", ["FluxTransformer2DModel", "SD3Transformer2DModel", "WanTransformer3DModel"])
def test_a_check_changes_nothing_but_the_cost(name: str) -> None:
    denoiser = TINY[name].build(name)
    policy = DiscardLast()
    with cached(denoiser, policy, evals=3) as run:
        found = sampled(name, denoiser)
    sites = policy.choose_sites(denoiser)
    assert run.calls == {site.name: 3 if site == sites[-1] else 1 for site in sites}
    with cached(denoiser, Schedule.steps(sites, [True, False, False])):
        expected = sampled(name, denoiser)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_main_stream_comes_first() -> None:
    """Flux's blocks return the text before the image."""

    class FirstBlock(DiscardLast):
        def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
            return split_spans(denoiser, first=1)

        def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
            return [Probe("blocks.0-0.span")]

        def decide(self, evaluation: Evaluation) -> Sequence[bool]:
            return [True] * len(evaluation.sites)

        def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
            assert value[0].shape[1] == 16 and value[1].shape[1] == 6
            return [True, *[evaluation.e == 0] * (len(evaluation.sites) - 1)]

    name = "FluxTransformer2DModel"
    denoiser = TINY[name].build(name)
    with cached(denoiser, FirstBlock(start=9), evals=3) as run:
        sampled(name, denoiser)
    assert list(run.calls.values()) == [3, 1]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (DiscardLast(start=0), r"discards what blocks.2-2.span gave, which was never kept before"),
        (DiscardLast(level="branch"), r"discards what blocks.2.ff gave, which is no span"),
    ],
)
def test_what_cannot_be_discarded_is_refused(tiny: TinyDiT, policy: DiscardLast, message: str) -> None:
    bare = tiny.run()
    with pytest.raises(ValueError, match=message), cached(tiny.denoiser, policy, evals=12):
        tiny.run()
    assert torch.equal(tiny.run(), bare)
