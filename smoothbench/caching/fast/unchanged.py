"""Tell whether a denoiser's modules are as their classes made them, so that other arithmetic may take their place."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from smoothbench.caching.hooks import StandIn

PACKAGES = ("torch", "diffusers", "smoothbench")  # whose classes are known by their names


def unchanged(denoiser: nn.Module, branches: Collection[nn.Module], kinds: Collection[str]) -> bool:
    """Return whether the modules outside of the branches are of these classes, without hooks or other forwards.

    They must be in evaluation mode, as some drop inputs at random while they are trained (class dropout).

    A branch may hold anything inside, as its own forward is called; it must not itself have hooks, or a forward
    that was set inside the context. Forwards that the engine set do not count.
    """
    if torch_module._has_any_global_hook() or not _is_own_class(denoiser, kinds):
        return False
    inside = set(map(id, branches))
    known: dict[type, bool] = {}
    below = _children(denoiser)
    while below:
        module = below.pop()
        if not _is_bare(module):
            return False
        if id(module) in inside:
            continue
        kind = type(module)
        if kind not in known:
            known[kind] = _is_known(kind, kinds)
        if not known[kind] or module.training or not _has_own_forward(module):
            return False
        if module._parameters and not _has_plain_weights(module):
            return False
        if module._modules:
            below += _children(module)
    return True


def forward_of(module: nn.Module) -> Callable[..., Any]:
    """Return a module's forward without the engine's stand-in."""
    present = vars(module).get("forward")
    return present.__wrapped__ if isinstance(present, StandIn) else module.forward


def is_as_made(module: nn.Module) -> bool:
    """Return whether a module of a class of torch's has that class's forward, ordinary weights and no hooks."""
    return _is_bare(module) and _has_own_forward(module) and _has_plain_weights(module)


def _children(module: nn.Module) -> list[nn.Module]:
    return [child for child in module._modules.values() if child is not None]


def _is_bare(module: nn.Module) -> bool:
    """Whether nothing runs before, after or in place of a module's own forward."""
    state = module.__dict__
    if (
        state["_forward_hooks"]
        or state["_forward_pre_hooks"]
        or state["_backward_hooks"]
        or state["_backward_pre_hooks"]
        or state.get("_compiled_call_impl") is not None
    ):
        return False
    return "forward" not in state or isinstance(state["forward"], StandIn)


def _has_own_forward(module: nn.Module) -> bool:
    """Whether the forward of a bare module is that of its class, but for a stand-in of the engine's."""
    state = module.__dict__
    return "forward" not in state or not state["forward"].is_foreign


def _has_plain_weights(module: nn.Module) -> bool:
    """Whether torch's functions do on all weights what they do on ordinary ones; quantised tensors have their own."""
    for weight in module._parameters.values():
        if weight is None or type(weight) is nn.Parameter:
            continue
        if type(weight).__torch_function__ is not nn.Parameter.__torch_function__:
            return False
    return True


def _is_own_class(denoiser: nn.Module, kinds: Collection[str]) -> bool:
    """Whether the denoiser itself is of a known class and in evaluation mode; its hooks run around the engine."""
    kind = type(denoiser)
    present = vars(denoiser).get("forward")
    foreign = present is not None and (not isinstance(present, StandIn) or present.is_foreign)
    return _is_known(kind, kinds) and not foreign and not denoiser.training


def _is_known(kind: type[nn.Module], kinds: Collection[str]) -> bool:
    """Whether a class has one of these names and both it and its forward come from a package that is known."""
    # a patch of the class may carry the name of the forward in place of which it stands, but not its globals
    forward: Any = kind.forward
    origins = (kind.__module__, getattr(forward, "__globals__", {}).get("__name__", ""))
    return kind.__name__ in kinds and all(origin.partition(".")[0] in PACKAGES for origin in origins)


def needs_gradients(denoiser: nn.Module, arguments: Any) -> bool:
    """Return whether torch would record operations on the denoiser's weights or on a forward's arguments."""
    if not torch.is_grad_enabled():
        return False
    return _requires_grad(arguments) or any(weight.requires_grad for weight in denoiser.parameters())


def _requires_grad(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.requires_grad
    parts = value.values() if isinstance(value, Mapping) else value
    return isinstance(value, Mapping | list | tuple) and any(map(_requires_grad, parts))
