"""Notice, when a run starts, what other libraries have done to a denoiser since the context was entered."""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import nn

from smoothbench.caching.sites import Site
from smoothbench.caching.uncompiled import original_module


def noticing_changes(denoiser: nn.Module, sites: Sequence[Site]) -> Callable[[], None]:
    """Return what is to be called at the start of every run of the denoiser.

    It raises ValueError, naming the site, where a module that is followed was replaced: the engine would follow one
    that is no longer there, or that is a part of what took its place. It warns once where gradient checkpointing will
    compute blocks again in a backward pass.
    """
    places = [
        (site, path, denoiser.get_submodule(path)) for site in sites for path in (site.blocks or (site.path,))
    ]
    warned: list[bool] = []

    def check() -> None:
        for site, path, module in places:
            if _present(denoiser, path) is not original_module(module):
                raise ValueError(
                    f"{site.name}: the {type(module).__name__} at {path} was replaced inside the context: load "
                    "adapters and replace modules before it"
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


def _present(denoiser: nn.Module, path: str) -> nn.Module | None:
    try:
        return original_module(denoiser.get_submodule(path))
    except AttributeError:
        return None


def _checkpoints(denoiser: nn.Module) -> bool:
    return any(vars(module).get("gradient_checkpointing", False) for module in denoiser.modules())
