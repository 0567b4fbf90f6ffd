"""Count multiply-accumulates (MACs) with torch's own counter, linear layers apart from attention."""

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from smoothbench.caching.cost import Macs
from smoothbench.caching.forward_watch import watched
from smoothbench.caching.hooks import intercepted
from smoothbench.caching.site_wraps import Observer, site_wraps
from smoothbench.caching.sites import DENOISER, Site, find_sites
from smoothbench.caching.unsupported import refuse_counting

ATTENTION = ("bmm", "baddbmm", "attention")


class MacCounter:
    """A context that counts the MACs of what runs in it; on the meta device nothing is computed.

    Matrix products, convolutions and attention count, elementwise work does not. torch counts
    2 flops for a MAC, and before 2.15 cannot count the CPU's fused attention: that count is added here. What is
    compiled runs uncompiled, as a graph's own kernels are not counted.
    """

    def __init__(self) -> None:
        self._mode = FlopCounterMode(display=False, custom_mapping=_cpu_attention())
        self._contexts = ExitStack()

    def __enter__(self) -> "MacCounter":
        if (
            "torch._dynamo" in sys.modules
        ):  # which takes seconds to import, and without it nothing is compiled
            self._contexts.enter_context(torch.compiler.set_stance("force_eager"))
        self._contexts.enter_context(self._mode)
        return self

    def __exit__(self, *error: Any) -> None:
        self._contexts.__exit__(*error)

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
    """Counts the MACs of one evaluation, site by site; the MACs of a site inside another are its own alone.

    Call `begin` and `end` around the denoiser's forwards, `enter` and `leave` around its sites, then read `result`.
    """

    def __init__(self, sites: tuple[Site, ...]) -> None:
        self.sites = sites
        self._counter: MacCounter | None = None
        self.forget()

    def forget(self) -> None:
        """Set all counts to 0."""
        self._macs = [Macs(0, 0)] * len(self.sites)
        self._denoiser = Macs(0, 0)
        self._open: list[
            tuple[Macs, Macs]
        ] = []  # of sites under way: the count at their start, and that of inner ones

    def begin(self) -> None:
        """Start counting a forward of the denoiser."""
        self._counter, self._open = MacCounter().__enter__(), []

    def end(self) -> None:
        """Stop counting, if a forward is being counted."""
        if self._counter is not None:
            self._counter.__exit__(None, None, None)
            self._denoiser += self._counter.macs()
            self._counter = None

    def enter(self, i: int) -> bool:
        """Note that site `i` begins; it is always computed."""
        if self._counter is not None:
            self._open.append((self._counter.macs(), Macs(0, 0)))
        return True

    def leave(self, i: int) -> None:
        """Add what the counter gained since site `i` began, less what sites inside it cost."""
        if self._counter is None:
            return
        before, inner = self._open.pop()
        spent = self._counter.macs() - before
        self._macs[i] += spent - inner
        if self._open:
            start, so_far = self._open[-1]
            self._open[-1] = (start, so_far + spent)

    def result(self, samples: int) -> tuple[tuple[Site, ...], Macs]:
        """The sites with their MACs, and the MACs of the rest of the denoiser, per sample of the counted batch.

        With a denoiser site the rest is 0: what runs outside all other sites is its own.
        """
        macs = [Macs(m.linear // samples, m.total // samples - m.linear // samples) for m in self._macs]
        everything = Macs(
            self._denoiser.linear // samples,
            self._denoiser.total // samples - self._denoiser.linear // samples,
        )
        rest = everything - sum(macs, Macs(0, 0))
        outermost = [i for i, site in enumerate(self.sites) if site.level == DENOISER]
        if outermost:
            macs[outermost[0]], rest = rest, Macs(0, 0)
        pairs = zip(self.sites, macs, strict=True)
        return tuple(replace(site, macs=m.total, macs_linear=m.linear) for site, m in pairs), rest


class _Counting(Observer):
    """Counts what the sites of an uncached denoiser cost, with what feeds them."""

    def __init__(self, costs: SiteCosts) -> None:
        super().__init__()
        self.feed, self.fed, self._costs = costs.enter, costs.leave, costs  # type: ignore[method-assign]

    def enter(self, i: int) -> bool:
        """Start counting site `i`."""
        return super().enter(i) and self._costs.enter(i)

    def keep(self, i: int, output: Any) -> None:
        """Stop counting site `i`."""
        super().keep(i, output)
        self._costs.leave(i)


def site_costs(
    denoiser: nn.Module, sites: tuple[Site, ...], call: Callable[[], Any], samples: int
) -> tuple[tuple[Site, ...], Macs]:
    """Measure the MACs of every site, and of the rest of the denoiser, per sample and evaluation.

    `call` runs one evaluation, of one or several forwards, on `samples` samples (guidance rows are part of one).
    """
    refuse_counting(denoiser)
    costs = SiteCosts(sites)
    with ExitStack() as stack:
        stack.enter_context(intercepted(denoiser, site_wraps(denoiser, sites, _Counting(costs))))
        stack.enter_context(
            watched(denoiser, lambda args, kwargs: costs.begin(), lambda failed, output: costs.end())
        )
        stack.enter_context(torch.no_grad())
        call()
    return costs.result(samples)


MeasuredSites = tuple[tuple[Site, ...], Macs]  # the sites with their costs, and the cost of the rest


def measured_sites(skeleton: nn.Module, call: Any, sites: tuple[Site, ...] | None = None) -> MeasuredSites:
    """Sites, by default the branches, with their costs, and the cost of the rest, for one sample's evaluation."""
    return site_costs(skeleton, find_sites(skeleton) if sites is None else sites, call, samples=1)
