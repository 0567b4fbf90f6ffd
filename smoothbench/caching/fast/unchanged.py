"""Tell whether a denoiser's modules are as their classes made them, so that other arithmetic may take their place."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from smoothbench.caching.hooks import StandIn

PACKAGES = ("torch", "diffusers", "smoothbench")  # whose classes are known by their names


def unchanged(denoiser: nn.Module, branches: Collection[str], kinds: Collection[str]) -> bool:
    """Return whether the modules outside of the branches are of these classes, without hooks or other forwards.

    A branch may hold anything inside, as its own forward is called; it must not itself have hooks, or a forward
    that was set inside the context. Forwards that the engine set do not count.
    """
    if torch_module._has_any_global_hook() or not _is_own_class(denoiser, kinds):
        return False
    inside = {id(denoiser.get_submodule(path)) for path in branches}
    return all(_is_unchanged(child, inside, kinds) for child in _children(denoiser))


def forward_of(module: nn.Module) -> Callable[..., Any]:
    """Return a module's forward without the engine's stand-in."""
    present = vars(module).get("forward")
    return present.__wrapped__ if isinstance(present, StandIn) else module.forward


def _is_unchanged(module: nn.Module, branches: Collection[int], kinds: Collection[str]) -> bool:
    """Whether a module, and all that is in it but inside of branches, is as its class made it."""
    if not _is_bare(module):
        return False
    if id(module) in branches:
        return True
    return _is_own(module, kinds) and all(_is_unchanged(child, branches, kinds) for child in _children(module))


def _children(module: nn.Module) -> list[nn.Module]:
    return [child for child in module._modules.values() if child is not None]


def _is_bare(module: nn.Module) -> bool:
    """Whether nothing runs before, after or in place of a module's own forward."""
    state = vars(module)
    hooks = state["_forward_hooks"] or state["_forward_pre_hooks"]
    back = state["_backward_hooks"] or state["_backward_pre_hooks"]
    if hooks or back or state.get("_compiled_call_impl") is not None:
        return False
    present = state.get("forward")
    return present is None or isinstance(present, StandIn)


def _is_own(module: nn.Module, kinds: Collection[str]) -> bool:
    """Whether a module is of a known class, and has that class's forward and plain weights."""
    kind, present = type(module), vars(module).get("forward")
    if kind.__name__ not in kinds or kind.__module__.partition(".")[0] not in PACKAGES:
        return False
    if present is not None and present.is_foreign:
        return False
    return all(weight is None or type(weight) is nn.Parameter for weight in module._parameters.values())


def _is_own_class(denoiser: nn.Module, kinds: Collection[str]) -> bool:
    """Whether the denoiser itself is of a known class and in evaluation mode; its hooks run around the engine."""
    kind = type(denoiser)
    present = vars(denoiser).get("forward")
    foreign = present is not None and (not isinstance(present, StandIn) or present.is_foreign)
    known = kind.__name__ in kinds and kind.__module__.split(".")[0] in PACKAGES
    return known and not foreign and not denoiser.training


def needs_gradients(denoiser: nn.Module) -> bool:
    """Return whether torch would record operations on the denoiser's weights."""
    return torch.is_grad_enabled() and any(weight.requires_grad for weight in denoiser.parameters())
