"""Measure what it costs to give a site up at a probe inside it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.caching.cost import Macs
from smoothbench.caching.forward_watch import watched
from smoothbench.caching.hooks import intercepted
from smoothbench.caching.mac_counter import MacCounter
from smoothbench.caching.probes import Probe, approaches, input_wraps, probed_sites
from smoothbench.caching.site_wraps import Observer, site_wraps
from smoothbench.caching.sites import DENOISER, Site


class _Approaching(Observer):
    """Counts what runs of each site before a probe is reached."""

    def __init__(self, sites: Sequence[Site]) -> None:
        super().__init__()
        self._outermost = [i for i, site in enumerate(sites) if site.level == DENOISER]
        self._starts: dict[int, Macs] = {}  # what was counted when each site began
        self._feeding: dict[int, Macs] = {}  # what each site's feeders cost
        self.spent: dict[str, Macs] = {}

    def begin(self, args: Any, kwargs: Any) -> None:
        """Start counting a forward of the denoiser."""
        self._counter = MacCounter().__enter__()
        self._starts, self._feeding = {i: Macs(0, 0) for i in self._outermost}, {}

    def end(self, failed: bool, output: Any) -> None:
        """Stop counting."""
        self._counter.__exit__(None, None, None)

    def enter(self, i: int) -> bool:
        """Note what was counted when site `i` began."""
        self._starts[i] = self._counter.macs()
        return super().enter(i)

    def feed(self, i: int) -> bool:
        """Note what was counted when a module began that feeds site `i`."""
        self._starts[i] = self._counter.macs()
        return super().feed(i)

    def fed(self, i: int) -> None:
        """Add what the module cost."""
        spent = self._counter.macs() - self._starts.pop(i)
        self._feeding[i] = self._feeding.get(i, Macs(0, 0)) + spent

    def reach(self, around: Sequence[tuple[int, Site]], value: Tensor) -> None:
        """Add what each site around a probe has cost so far; of the probed site itself its feeders."""
        for i, approach in around:
            begun = self._starts.get(i)
            spent = self._feeding[i] if begun is None else self._counter.macs() - begun
            self.spent[approach.name] = self.spent.get(approach.name, Macs(0, 0)) + spent


def probe_costs(
    denoiser: nn.Module, sites: Sequence[Site], probes: Sequence[Probe], call: Callable[[], Any], samples: int
) -> tuple[Site, ...]:
    """Measure the approach to each probe: the MACs of the sites around it up to there, per sample and evaluation.

    `call` runs one evaluation, of one or several forwards, on `samples` samples. Raises ValueError for a probe that
    the denoiser does not have.
    """
    places = probed_sites(denoiser, sites, probes)
    around = [approaches(sites, probe, place) for probe, place in zip(probes, places, strict=True)]
    inputs = [(place, near) for place, near in zip(places, around, strict=True) if near]
    follower = _Approaching(sites)
    seen = [partial(follower.reach, near) for _, near in inputs]
    wraps = input_wraps(denoiser, [place for place, _ in inputs], seen)
    with ExitStack() as stack:
        stack.enter_context(intercepted(denoiser, wraps + site_wraps(denoiser, sites, follower)))
        stack.enter_context(watched(denoiser, follower.begin, follower.end))
        stack.enter_context(torch.no_grad())
        if inputs:
            call()
    measured = []
    for approach in (approach for near in around for _, approach in near):
        macs = follower.spent[approach.name]
        measured.append(replace(approach, macs=macs.total // samples, macs_linear=macs.linear // samples))
    return tuple(measured)
