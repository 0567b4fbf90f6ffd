"""Follow every site of a denoiser: wraps that say when a site is reached, and take or give its output."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from torch import nn

from smoothbench.caching.hooks import Forward, Wrap
from smoothbench.caching.sites import BRANCH, SPAN, Site
from smoothbench.caching.spans import Span


class Follower(Protocol):
    """Follows the sites of a denoiser, by their numbers, while a forward runs."""

    def enter(self, i: int) -> bool:
        """Site `i` is reached: return True to have it computed, False to give its output by `predict`."""
        ...

    def keep(self, i: int, output: Any) -> None:
        """Take the output that was computed at site `i`; of a span a tuple, one tensor for each stream."""
        ...

    def predict(self, i: int) -> Any:
        """Return the output of site `i` in place of a computed one."""
        ...


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
    branches = [(i, site) for i, site in enumerate(sites) if site.level == BRANCH]
    return wraps + [
        (denoiser.get_submodule(site.path), partial(_branch, follower, i)) for i, site in branches
    ]


def _branch(follower: Follower, i: int, original: Forward) -> Forward:
    def forward(*args: Any, **kwargs: Any) -> Any:
        if follower.enter(i):
            output = original(*args, **kwargs)
            follower.keep(i, output)
            return output
        return follower.predict(i)

    return forward
