"""Sites nest: where an outer site is reused, nothing inside it runs."""

from collections.abc import Sequence
from itertools import combinations

from smoothbench.caching.sites import BRANCH, DENOISER, SPAN, Site


def outer_sites(sites: Sequence[Site]) -> list[list[int]]:
    """For each site the numbers of those that contain it; ValueError where two spans overlap without nesting."""
    if all(site.level == BRANCH for site in sites):  # which many calls need quickly
        return [[] for _ in sites]
    outer = [
        [j for j, other in enumerate(sites) if i != j and contains(other, site)]
        for i, site in enumerate(sites)
    ]
    spans = [i for i, site in enumerate(sites) if site.level == SPAN]
    for i, j in combinations(spans, 2):
        if set(sites[i].blocks) & set(sites[j].blocks) and i not in outer[j] and j not in outer[i]:
            raise ValueError(f"{sites[i].name} and {sites[j].name} overlap: spans must nest or lie apart")
    return outer


def inner_sites(outer: Sequence[Sequence[int]]) -> list[list[int]]:
    """For each site the numbers of those inside it, from those that contain each."""
    return [[i for i, containing in enumerate(outer) if j in containing] for j in range(len(outer))]


def runs(bits: Sequence[bool], outer: Sequence[Sequence[int]]) -> tuple[bool, ...]:
    """Which sites run at an evaluation: those that are computed inside nothing that is reused."""
    return tuple(
        bool(bit) and all(bits[j] for j in containing) for bit, containing in zip(bits, outer, strict=True)
    )


def contains(site: Site, other: Site) -> bool:
    """Whether a site lies around another one."""
    if site.level == DENOISER:
        return other.level != DENOISER
    if site.level != SPAN or other.level == DENOISER:
        return False
    if other.level == SPAN:
        return set(other.blocks) < set(site.blocks)
    return any(other.path.startswith(f"{block}.") for block in site.blocks)
