"""Regular expressions for the modules of sites, by which diffusers' hooks are told where to sit."""

import re
from collections.abc import Iterator, Sequence

from torch import nn

from smoothbench.caching import Site
from smoothbench.caching.branch_names import KINDS
from smoothbench.interop.schedules.request import ALL_OTHERS, Request

LISTS = {"": "(?:transformer_blocks|blocks|layers)", "temporal_": "temporal_transformer_blocks"}


def patterns(request: Request, sites: Sequence[Site]) -> list[str]:
    """Return expressions that match the paths of the sites' modules, and of what feeds them alone, in full.

    With a denoiser they match no other modules; without one they are made of the names that diffusers gives the
    branches of a kind. Raises UsageError where these do not tell.
    """
    if request.denoiser is not None:
        return _of_paths(request.denoiser, [path for site in sites for path in (site.path, *site.feeders)])
    kinds = dict.fromkeys(site.kind for site in sites)
    if apart := {site.name for site in request.sites if site.kind in kinds} - {site.name for site in sites}:
        raise request.refused(
            f"blocks of a kind differ ({min(apart)}): give --model FOLDER, which names their modules"
        )
    if numbered := kinds.keys() - {site.kind for site in request.sites if ALL_OTHERS in site.path}:
        raise request.refused(
            f"it numbers the blocks of {min(numbered)}, of which there may be more: give --model FOLDER, which names "
            "their modules"
        )
    return [_of_kind(request, kind) for kind in kinds]


def _of_kind(request: Request, kind: str) -> str:
    temporal = "temporal_" if kind.startswith("temporal_") else ""
    base = kind.removeprefix("temporal_").removeprefix("spatial_")
    names = [name for name, known in KINDS.items() if known == base]
    if not names:
        raise request.refused(f"{kind}: give --model FOLDER, which names its modules")
    return rf"{LISTS[temporal]}\.\d+\.(?:{'|'.join(names)})"


def _of_paths(denoiser: nn.Module, paths: Sequence[str]) -> list[str]:
    """One expression for all blocks where it matches these paths alone, else one for each path."""
    general = list(dict.fromkeys(re.sub(r"\d+", r"\\d+", re.escape(path)) for path in paths))
    names = (name for name, _ in denoiser.named_modules())
    matched = {name for name in names if any(re.fullmatch(pattern, name) for pattern in general)}
    return general if matched == set(paths) else [re.escape(path) for path in paths]


def lines(expressions: Sequence[str]) -> Iterator[str]:
    """Yield a line of Python for each expression, as an element of a list."""
    return (f"    {expression!r},\n" for expression in expressions)
