"""Count multiply-accumulates (MACs) with torch's own counter, linear layers apart from attention."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from smoothbench.caching.cost import Macs
from smoothbench.caching.forward_watch import watched
from smoothbench.caching.hooks import Forward, intercepted
from smoothbench.caching.sites import Site, find_sites

ATTENTION = ("bmm", "baddbmm", "attention")


class MacCounter:
    """A context that counts the MACs of what runs in it; on the meta device nothing is computed.

    Matrix products, convolutions and attention count, elementwise work does not. torch counts
    2 flops for a MAC, and before 2.15 cannot count the CPU's fused attention: that count is added here.
    """

    def __init__(self) -> None:
        self._mode = FlopCounterMode(display=False, custom_mapping=_cpu_attention())

    def __enter__(self) -> "MacCounter":
        self._mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._mode.__exit__(*error)

    def macs(self) -> Macs:
        """The MACs counted so far."""
        by_op: Mapping[Any, int] = self._mode.get_flop_counts().get("Global", {})
        attention = sum(n for op, n in by_op.items() if any(word in str(op) for word in ATTENTION))
        return Macs((sum(by_op.values()) - attention) // 2, attention // 2)


def _cpu_attention() -> dict[Any, Callable[..., int]]:
    def count(query: tuple, key: tuple, value: tuple, *_: Any, **__: Any) -> int:
        return sdpa_flop_count(query, key, value)

    return {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: count}


class SiteCosts:
    """Counts the MACs of one evaluation, site by site.

    Call `begin` and `end` around the denoiser's forwards and run the branches by `run_site`, then read `result`.
    """

    def __init__(self, sites: tuple[Site, ...]) -> None:
        self.sites = sites
        self._counter: MacCounter | None = None
        self.forget()

    def forget(self) -> None:
        """Set all counts to 0."""
        self.by_site = dict.fromkeys((site.name for site in self.sites), Macs(0, 0))
        self.denoiser_macs = Macs(0, 0)

    def begin(self) -> None:
        """Start counting a forward of the denoiser."""
        self._counter = MacCounter().__enter__()

    def end(self) -> None:
        """Stop counting, if a forward is being counted."""
        if self._counter is not None:
            self._counter.__exit__(None, None, None)
            self.denoiser_macs += self._counter.macs()
            self._counter = None

    def run_site(self, site: Site, original: Forward, *args: Any, **kwargs: Any) -> Any:
        """Run a branch's forward, and add what the counter gained to its site."""
        if self._counter is None:
            return original(*args, **kwargs)
        before = self._counter.macs()
        output = original(*args, **kwargs)
        self.by_site[site.name] += self._counter.macs() - before
        return output

    def result(self, samples: int) -> tuple[tuple[Site, ...], Macs]:
        """The sites with their MACs, and the MACs of the rest of the denoiser, per sample of the counted batch."""
        sites = tuple(
            replace(
                s,
                macs=self.by_site[s.name].total // samples,
                macs_linear=self.by_site[s.name].linear // samples,
            )
            for s in self.sites
        )
        linear = self.denoiser_macs.linear // samples - sum(s.macs_linear for s in sites)
        total = self.denoiser_macs.total // samples - sum(s.macs for s in sites)
        return sites, Macs(linear, total - linear)


def site_costs(
    denoiser: nn.Module, sites: tuple[Site, ...], call: Callable[[], Any], samples: int
) -> tuple[tuple[Site, ...], Macs]:
    """Measure the MACs of every site, and of the rest of the denoiser, per sample and evaluation.

    `call` runs one evaluation, of one or several forwards, on `samples` samples (guidance rows are part of one).
    """
    costs = SiteCosts(sites)

    def around(site: Site, original: Forward) -> Forward:
        return partial(costs.run_site, site, original)

    wraps = [(denoiser.get_submodule(site.path), partial(around, site)) for site in sites]
    with ExitStack() as stack:
        stack.enter_context(intercepted(denoiser, wraps))
        stack.enter_context(watched(denoiser, lambda args, kwargs: costs.begin(), lambda failed: costs.end()))
        stack.enter_context(torch.no_grad())
        call()
    return costs.result(samples)


MeasuredSites = tuple[tuple[Site, ...], Macs]  # the sites with their costs, and the cost of the rest


def measured_sites(skeleton: nn.Module, call: Any) -> MeasuredSites:
    """The sites of a denoiser with their costs, and the cost of the rest, for one sample's evaluation."""
    return site_costs(skeleton, find_sites(skeleton), call, samples=1)
