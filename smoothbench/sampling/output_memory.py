"""Memory that kept outputs take: how much, how much is free, and how calibration is split to fit."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from smoothbench.caching import Site
from smoothbench.caching.forward_watch import watched
from smoothbench.caching.hooks import intercepted
from smoothbench.caching.outputs import take_apart
from smoothbench.caching.site_wraps import Observer, site_wraps
from smoothbench.caching.sites import DENOISER
from smoothbench.planning.counted_once import counted_once
from smoothbench.protocols import Model
from smoothbench.sampling.host_memory import host_bytes

SHARE = 0.7  # of what is free: the rest is for what the denoiser computes with


def output_bytes_of(model: Model, sites: Sequence[Site]) -> tuple[int, ...]:
    """Bytes of each site's output in one evaluation of one sample of a model; nothing is computed."""

    def count() -> tuple[int, ...]:
        skeleton, call = model.skeleton()
        return output_bytes(skeleton, sites, call)

    return counted_once(model, "bytes", sites, count)


def output_bytes(denoiser: nn.Module, sites: Sequence[Site], call: Callable[[], Any]) -> tuple[int, ...]:
    """Bytes of each site's output in one evaluation, all its forwards together, by a call that runs it.

    On the meta device nothing is computed.
    """
    sizes = _Sizes(sites)
    with ExitStack() as stack:
        stack.enter_context(intercepted(denoiser, site_wraps(denoiser, sites, sizes)))
        stack.enter_context(watched(denoiser, lambda args, kwargs: None, sizes.end))
        stack.enter_context(torch.no_grad())
        call()
    return tuple(sizes.bytes)


class _Sizes(Observer):
    """Adds up the bytes of what the sites of an uncached denoiser give."""

    def __init__(self, sites: Sequence[Site]) -> None:
        super().__init__()
        self.bytes, self._sites = [0] * len(sites), sites

    def keep(self, i: int, output: Any) -> None:
        """Add the bytes of an output of site `i`."""
        super().keep(i, output)
        leaves, _ = take_apart(output, self._sites[i].name)
        self.bytes[i] += sum(leaf.numel() * leaf.element_size() for leaf in leaves)

    def end(self, failed: bool, output: Any) -> None:
        """Take the denoiser's own output."""
        for i, site in enumerate(self._sites):
            if site.level == DENOISER and not failed:
                self.keep(i, output)


def free_bytes(device: torch.device) -> int | None:
    """What a tensor on this device may still take, or None where nobody says."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type != "cpu":
        return None
    return host_bytes()


@dataclass(frozen=True)
class Split:
    """How a calibration is cut: `samples` are sampled at a time, by `passes` over groups of sites; `bytes` are kept."""

    samples: int
    passes: int
    bytes: int

    def smaller(self, outputs: Sequence[int], lags: int, least: int = 1) -> "Split | None":
        """What to try where this did not fit: half the samples, or twice the passes; None where it cannot be."""
        samples, passes = max(self.samples // 2, least), self.passes
        if samples >= self.samples:
            samples, passes = self.samples, min(2 * self.passes, len(outputs))
        if (samples, passes) == (self.samples, self.passes):
            return None
        return Split(samples, passes, _largest(outputs, passes) * lags * samples)


def split(samples: int, outputs: Sequence[int], lags: int, free: int | None, least: int = 1) -> Split:
    """The fewest runs that keep the outputs of `lags` evaluations within a share of the free memory.

    `outputs` are bytes of each site and sample, `least` is the smallest batch. Batches are made smaller first,
    which costs no computation; only where a single one is too large are the sites taken in several passes.
    """
    each_sample = sum(outputs) * lags
    if free is None or each_sample * samples <= SHARE * free:
        return Split(samples, 1, each_sample * samples)
    batch = max(int(SHARE * free / each_sample), least)
    passes = 1
    while passes < len(outputs) and _largest(outputs, passes) * lags * batch > SHARE * free:
        passes += 1
    return Split(min(batch, samples), passes, _largest(outputs, passes) * lags * min(batch, samples))


def _largest(outputs: Sequence[int], passes: int) -> int:
    """Bytes of the largest of so many groups of sites, which follow each other."""
    step = -(-len(outputs) // passes)
    return max(sum(outputs[start : start + step]) for start in range(0, len(outputs), step))
