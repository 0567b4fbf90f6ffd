"""Probes: places of a denoiser that a method looks at while a forward runs, and what looking there costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from smoothbench.caching.hooks import Forward, Wrap
from smoothbench.caching.nesting import contains
from smoothbench.caching.sites import DENOISER, Site, sites_named
from smoothbench.caching.timestep import first_tensor

INPUT, OUTPUT = "input", "output"
PROBE = "probe"  # the kind of an approach


@dataclass(frozen=True)
class Probe:
    """A probe is the output or the input of a site, named as `find_sites` names it, for example blocks.0.self_attn.

    The input is the first tensor that the site's module gets; of a span that of its first block. Raises ValueError
    for an `of` that is neither "output" nor "input".
    """

    site: str
    of: str = OUTPUT

    def __post_init__(self) -> None:
        if self.of not in (OUTPUT, INPUT):
            raise ValueError(f"a probe is of a site's 'output' or 'input', not {self.of!r}")

    def __str__(self) -> str:
        return f"the {self.of} of {self.site}"


class GivenUp(BaseException):
    """A site is left in the middle of its forward, at a probe inside it; its prediction takes its place."""

    def __init__(self, site: Site) -> None:
        super().__init__(site.name)
        self.site = site


def probed_sites(denoiser: nn.Module, sites: Sequence[Site], probes: Sequence[Probe]) -> list[Site]:
    """Return the site of each probe; ValueError, naming it, where the denoiser has no such site."""
    known = {site.name: site for site in sites}
    return [known.get(probe.site) or _found(denoiser, probe) for probe in probes]


def _found(denoiser: nn.Module, probe: Probe) -> Site:
    try:
        sites = sites_named(denoiser, [probe.site])
    except ValueError as error:
        raise ValueError(f"probe on {probe}: {error}") from None
    for site in sites:
        if site.name == probe.site:
            return site
    raise ValueError(
        f"probe on {probe}: {type(denoiser).__name__} has no such site, it has {sites[0].name} to {sites[-1].name}"
    )


def input_wraps(
    denoiser: nn.Module, sites: Sequence[Site], seen: Sequence[Callable[[Tensor], None]]
) -> list[tuple[nn.Module, Wrap]]:
    """Wraps that show the input of each site to its function in `seen`, before the site's module runs."""
    return [
        (denoiser.get_submodule(site.path), partial(_showing, show))
        for site, show in zip(sites, seen, strict=True)
    ]


def _showing(show: Callable[[Tensor], None], original: Forward) -> Forward:
    def forward(*args: Any, **kwargs: Any) -> Any:
        show(first_tensor(args, kwargs))
        return original(*args, **kwargs)

    return forward


def refuse_hooks(denoiser: nn.Module, site: Site, probe: Probe, place: Site) -> None:
    """Raise ValueError, naming the module, where another library's hook would not see the end of a site given up."""
    names = place.path.split(".")
    outside = len(site.path.split(".")) if site.path else 0
    for depth in range(outside, len(names) + 1):
        path = ".".join(names[:depth])
        parts = vars(denoiser.get_submodule(path))
        if "_hf_hook" in parts or getattr(parts.get("_diffusers_hook"), "hooks", None):
            raise ValueError(
                f"probe on {probe}: {path or 'the denoiser'} has a hook of another library (offloading, a cache), "
                f"which would not see its end where {site.name} is given up: take it away, or probe another place"
            )


def approaches(sites: Sequence[Site], probe: Probe, place: Site) -> list[tuple[int, Site]]:
    """For each site around a probe on an input: its number, and the approach to the probe, as a site of its own.

    The approach is what runs of the outer site before the probe is reached: the cost of giving it up there. A branch
    that other modules feed has one to its own input, which they make. Its MACs are not measured here.
    """
    if probe.of != INPUT:
        return []
    around = [
        (i, site)
        for i, site in enumerate(sites)
        if contains(site, place) or (site.name == probe.site and site.feeders)
    ]
    approach = Site("", PROBE, place.path)
    return [(i, replace(approach, name=f"{site.name} up to {probe.site}")) for i, site in around]


def check_decidable(sites: Sequence[Site], probes: Sequence[Probe]) -> None:
    """Raise ValueError for probes that no decision at run time can follow.

    These are an output of a site that is none of the sites decided on, and the denoiser's input, which `decide` has.
    """
    names = [site.name for site in sites]
    for probe in probes:
        if probe.of == OUTPUT and probe.site not in names:
            raise ValueError(
                f"probe on {probe}: it is none of the sites that the method decides on, {names[0]} to {names[-1]}"
            )
        if probe == Probe(DENOISER, INPUT):
            raise ValueError(f"probe on {probe}: decide() has it as evaluation.hidden_states")
