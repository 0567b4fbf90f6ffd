"""Notice, when a run starts, what other libraries have done to a denoiser since the context was entered."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from smoothbench.caching.hooks import HANDLED
from smoothbench.caching.sites import Site


def noticing_changes(denoiser: nn.Module, sites: Sequence[Site]) -> Callable[[], None]:
    """Return what is to be called at the start of every run of the denoiser.

    It raises ValueError, naming the site, where a module that is followed was replaced: the engine would follow one
    that is no longer there, or that is a part of what took its place. It warns once where gradient checkpointing will
    compute blocks again in a backward pass.
    """
    edges = _edges(denoiser, sites)
    warned: list[bool] = []

    def check() -> None:
        for edge in edges:
            if (present := edge.parts.get(edge.name)) is not edge.module and not _is_handle(
                present, edge.module
            ):
                raise ValueError(
                    f"{edge.site}: the {type(edge.module).__name__} at {edge.path} was replaced inside the context: "
                    "load adapters and replace modules before it"
                )
        if torch.is_grad_enabled() and not warned and _checkpoints(denoiser):
            warned.append(True)
            warnings.warn(
                f"{type(denoiser).__name__} has gradient checkpointing on: a backward pass would compute blocks again, "
                "where nothing is cached, and fail; sample under torch.no_grad(), or call "
                "disable_gradient_checkpointing()",
                stacklevel=2,
            )

    return check


class _Edge(NamedTuple):
    """A module on the way to a site: the parts of its parent, its name among them, its path, and the site's name."""

    parts: Mapping[str, nn.Module | None]
    name: str
    module: nn.Module | None
    path: str
    site: str


def _edges(denoiser: nn.Module, sites: Sequence[Site]) -> list[_Edge]:
    """All modules on the ways to the sites, each once."""
    edges: dict[str, _Edge] = {}

    def module_at(path: str, site: Site) -> nn.Module:
        """The module at a path, to which and on the way to which edges lead from now on."""
        if not path:
            return denoiser
        if path not in edges:
            above, _, name = path.rpartition(".")
            parts = module_at(above, site)._modules
            edges[path] = _Edge(parts, name, parts.get(name), path, site.name)
        module: Any = edges[path].module
        return module

    for site in sites:
        for path in site.blocks or (site.path, *site.feeders):
            module_at(path, site)
    return list(edges.values())


def _is_handle(present: nn.Module | None, module: nn.Module | None) -> bool:
    """Whether a module is what torch.compile made of another, which goes on running inside."""
    return present is not None and present._modules.get(HANDLED) is module


def _checkpoints(denoiser: nn.Module) -> bool:
    return any(vars(module).get("gradient_checkpointing", False) for module in denoiser.modules())
