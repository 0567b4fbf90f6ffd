"""Decisions inside a forward on other families of denoisers: two streams, branches of several modules, video."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from smoothbench.caching import Evaluation, MacCounter, Probe, Trajectory, cached, find_sites
from smoothbench.caching.mac_counter import site_costs
from smoothbench.caching.probe_costs import probe_costs
from tests.support.small_policies import FirstBlock, FirstInput, LastBlockChecks
from tests.support.tiny_denoisers import TINY

NAMES = ("FluxTransformer2DModel", "SD3Transformer2DModel", "WanTransformer3DModel")
NOISE = (0.95, 0.8, 0.6, 0.3)


@dataclass
class EveryInput:
    """Look at the input of every branch, and compute it at every second evaluation."""

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        return [Probe(site.name, "input") for site in find_sites(denoiser)]

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return [evaluation.e % 2 == 0] * len(evaluation.sites)

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        assert value.numel() > len(value) * value.shape[-1]  # of all tokens
        return self.decide(evaluation)


@torch.no_grad()
def outputs(name: str, denoiser: nn.Module, noise: Sequence[float] = NOISE) -> list[Tensor]:
    found = [denoiser(**TINY[name].at(level)) for level in noise]
    return [leaf for output in found for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]


def same(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


KINDS = {
    "first block": (FirstBlock(1e9), "reuse"),
    "first input": (FirstInput(1e9), "taylor1"),
    "last block": (LastBlockChecks(1e9), "reuse"),
    "every input": (EveryInput(), "reuse"),
}
CASES = [*product(NAMES, KINDS), ("UNet2DConditionModel", "first input")]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_is_decided_costs_what_torch_counts(name: str, kind: str) -> None:
    policy: Any
    policy, predictor = KINDS[kind]
    denoiser = TINY[name].build(name)
    bare = outputs(name, denoiser)
    sites = policy.choose_sites(denoiser) if hasattr(policy, "choose_sites") else find_sites(denoiser)
    probes = policy.choose_probes(denoiser) if hasattr(policy, "choose_probes") else []

    def call() -> None:
        outputs(name, denoiser, NOISE[:1])

    measured, rest = site_costs(denoiser, sites, call, samples=1)
    approaches = probe_costs(denoiser, sites, probes, call, samples=1)
    trajectory = Trajectory(measured, NOISE, rest.total, rest.linear, approaches)
    with MacCounter() as counter, cached(denoiser, policy, predictor=predictor, evals=len(NOISE)) as run:
        decided = outputs(name, denoiser)
    assert 0 < run.skipped_share < 1 and not same(decided, bare)
    assert trajectory.cost({**run.calls, **run.probe_calls}).total == counter.macs().total
    assert same(outputs(name, denoiser), bare)
