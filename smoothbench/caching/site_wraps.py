"""Follow every site of a denoiser: wraps that say when a site is reached, and take or give its output."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from smoothbench.caching.hooks import Forward, Wrap
from smoothbench.caching.outputs import Rebuild, take_apart
from smoothbench.caching.sites import BRANCH, SPAN, Site
from smoothbench.caching.spans import Span


class Follower(Protocol):
    """Follows the sites of a denoiser, by their numbers, while a forward runs."""

    def enter(self, i: int) -> bool:
        """Site `i` is reached: return True to have it computed, False to give its output by `predict`."""
        ...

    def reached(self, i: int) -> bool:
        """Return whether site `i` was reached before in this forward."""
        ...

    def keep(self, i: int, output: Any) -> None:
        """Take the output that was computed at site `i`; of a span a tuple, one tensor for each stream."""
        ...

    def predict(self, i: int) -> Any:
        """Return the output of site `i` in place of a computed one."""
        ...

    def feed(self, i: int) -> bool:
        """A module that feeds site `i` alone is reached: return True to have it run, False to leave it out."""
        ...

    def fed(self, i: int) -> None:
        """Such a module has run."""
        ...


class Observer:
    """Follows sites that are all computed; a subclass says what it does with their outputs."""

    def __init__(self) -> None:
        self._under_way: set[int] = set()

    def enter(self, i: int) -> bool:
        """Site `i` begins, and is computed."""
        self._under_way.add(i)
        return True

    def reached(self, i: int) -> bool:
        """Return whether site `i` is under way."""
        return i in self._under_way

    def keep(self, i: int, output: Any) -> None:
        """Take the output of site `i`, which has ended."""
        self._under_way.discard(i)

    def predict(self, i: int) -> Any:
        """Nothing is reused where all sites are computed."""
        raise NotImplementedError

    def feed(self, i: int) -> bool:
        """What feeds site `i` runs."""
        return True

    def fed(self, i: int) -> None:
        """What feeds site `i` has run."""


def site_wraps(
    denoiser: nn.Module, sites: Sequence[Site], follower: Follower
) -> list[tuple[nn.Module, Wrap]]:
    """Wraps for branches and for the blocks of spans, the outer sites first.

    A denoiser site has none: whoever watches the denoiser's forwards follows it.
    """
    spans = sorted(
        (i for i, site in enumerate(sites) if site.level == SPAN), key=lambda i: -len(sites[i].blocks)
    )
    wraps = [
        wrap
        for i in spans
        for wrap in Span(
            denoiser,
            sites[i],
            partial(follower.enter, i),
            partial(follower.keep, i),
            partial(follower.predict, i),
        ).wraps()
    ]
    for i, site in enumerate(sites):
        if site.level == BRANCH:
            wrap = (
                partial(_branch, follower, i) if site.calls == 1 else partial(_calls, follower, i, site.calls)
            )
            wraps.append((denoiser.get_submodule(site.path), wrap))
            feeders = [denoiser.get_submodule(path) for path in site.feeders]
            wraps += [(feeder, partial(_feeder, follower, i)) for feeder in feeders]
    return wraps


def _branch(follower: Follower, i: int, original: Forward) -> Forward:
    def forward(*args: Any, **kwargs: Any) -> Any:
        if follower.enter(i):
            output = original(*args, **kwargs)
            follower.keep(i, output)
            return output
        return follower.predict(i)

    return forward


def _calls(follower: Follower, i: int, calls: int, original: Forward) -> Forward:
    """Follow a branch whose module runs several times in a forward: its output is the tuple of all."""
    outputs: list[Any] = []  # computed so far in this forward, or those that are yet to be given
    computes = True

    def forward(*args: Any, **kwargs: Any) -> Any:
        nonlocal computes
        if not follower.reached(i) or len(outputs) == (calls if computes else 0):  # the latter is refused
            computes = follower.enter(i)
            outputs[:] = [] if computes else follower.predict(i)
        if not computes:
            return outputs.pop(0)
        outputs.append(original(*args, **kwargs))
        if len(outputs) == calls:
            follower.keep(i, tuple(outputs))
        return outputs[-1]

    return forward


def _feeder(follower: Follower, i: int, original: Forward) -> Forward:
    """Leave a module out whose output site `i` alone reads: zeros of at most one token stand in for it."""
    widths: list[torch.Size] = []  # of the tensors of its output, without batch and tokens
    rebuild: Rebuild | None = None

    def forward(*args: Any, **kwargs: Any) -> Any:
        nonlocal rebuild
        if not follower.feed(i):
            assert rebuild is not None  # the first evaluation computes every site
            streams = [part for part in (*args, *kwargs.values()) if isinstance(part, Tensor)]
            pairs = zip(streams, widths, strict=False)
            return rebuild([x.new_zeros(len(x), min(x.shape[1], 1), *width) for x, width in pairs])
        output = original(*args, **kwargs)
        follower.fed(i)
        leaves, rebuild = take_apart(output, "a feeder")
        widths[:] = [leaf.shape[2:] for leaf in leaves]
        return output

    return forward
