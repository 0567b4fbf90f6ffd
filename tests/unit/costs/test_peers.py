"""Caches of other libraries follow the mask that they are measured with, and start every run anew."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.costs.peers import cache_dit_masks, diffusers_hooks
from smoothbench.costs.peers.peer import Peer, every
from tests.support.tiny_dit import TinyDiT, build_tiny

EVALS = 13
PEERS = [*diffusers_hooks.peers(), *cache_dit_masks.peers()]


class CountedCalls:
    """Counts at which forwards of a denoiser its branches are computed."""

    def __init__(self, denoiser: nn.Module) -> None:
        self.forward, self.computed = -1, dict[str, list[int]]()
        denoiser.register_forward_pre_hook(self.begin)
        for i, block in enumerate(denoiser.transformer_blocks):
            for branch in ("attn1", "ff"):
                module = block.get_submodule(branch)
                module.forward = self.counting(f"{i}.{branch}", module.forward)

    def begin(self, *_: Any) -> None:
        self.forward += 1

    def counting(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            self.computed.setdefault(name, []).append(self.forward)
            return original(*args, **kwargs)

        return forward

    def taken(self) -> dict[str, list[int]]:
        taken, self.computed, self.forward = self.computed, {}, -1
        return taken


def attached(peer: Peer, interval: int) -> tuple[TinyDiT, CountedCalls, Callable[[], object]]:
    if peer.unavailable_reason:
        pytest.skip(peer.unavailable_reason)
    dit = build_tiny()
    dit.evals = EVALS
    counted = CountedCalls(dit.denoiser)
    return dit, counted, peer.attach(dit.denoiser, interval, EVALS)


def mask(peer: Peer, interval: int) -> list[int]:
    computed = [e for e, bit in enumerate(every(interval, EVALS)) if bit]
    # diffusers' TaylorSeer counts its intervals from its second computed evaluation on
    return [0, 1, *computed[1:]] if "TaylorSeer" in peer.name and interval == 3 else computed


@pytest.mark.parametrize("interval", [1, 2, 3])
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_computes_every_nth_evaluation_of_every_run(peer: Peer, interval: int) -> None:
    dit, counted, reset = attached(peer, interval)
    samples = []
    for _ in range(2):
        reset()
        samples.append(dit.run())
        computed = counted.taken()
        reused = "2.attn1"
        assert computed[reused] == mask(peer, interval)
        always = {"attention": ["2.ff"], "all blocks but the first": ["0.attn1", "0.ff"]}.get(peer.reuses, [])
        assert all(computed[name] == list(range(EVALS)) for name in always)
    assert torch.equal(*samples)
    bare = build_tiny()
    bare.evals = EVALS
    assert torch.equal(samples[0], bare.run()) == (interval == 1)


@pytest.mark.parametrize(
    "name, level", [("diffusers TaylorSeer, order 0", "branch"), ("diffusers MagCache", "span")]
)
def test_the_same_mask_gives_the_same_samples_as_ours(name: str, level: str) -> None:
    dit, _, reset = attached(next(peer for peer in PEERS if peer.name == name), 2)
    reset()
    theirs = dit.run()
    ours = build_tiny()
    ours.evals = EVALS
    schedule = Schedule.steps(find_sites(ours.denoiser, level), every(2, EVALS))
    with cached(ours.denoiser, schedule):
        torch.testing.assert_close(ours.run(), theirs)


def test_a_peer_that_is_not_installed_says_how_to_get_it() -> None:
    absent = Peer("another", "branches", "no_such_package", "pip install another", lambda *_: copy.copy)
    assert absent.unavailable_reason == "another: not installed: pip install another"
