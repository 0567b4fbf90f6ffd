"""Tell whether a denoiser's modules are as their classes made them, so that other arithmetic may take their place."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from smoothbench.caching.hooks import StandIn

HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)
PACKAGES = ("torch", "diffusers", "smoothbench")  # whose classes are known by their names


def unchanged(denoiser: nn.Module, branches: Collection[str], kinds: Collection[str]) -> bool:
    """Return whether the modules outside of the branches are of these classes, without hooks or other forwards.

    A branch may hold anything inside, as its own forward is called; it must not itself have hooks, or a forward
    that was set inside the context. Forwards that the engine set do not count.
    """
    if torch_module._has_any_global_hook():
        return False
    inside = {id(denoiser.get_submodule(path)) for path in branches}
    return all(
        _is_bare(module) and (id(module) in inside or (_is_own(module) and type(module).__name__ in kinds))
        for module in _outside(denoiser, inside)
        if module is not denoiser
    ) and _is_own_class(denoiser, kinds)


def forward_of(module: nn.Module) -> Callable[..., Any]:
    """Return a module's forward without the engine's stand-in."""
    present = vars(module).get("forward")
    return present.__wrapped__ if isinstance(present, StandIn) else module.forward


def _outside(module: nn.Module, inside: Collection[int]) -> Iterator[nn.Module]:
    """Yield a module and those in it, but nothing from inside of the branches."""
    yield module
    if id(module) not in inside:
        for child in module._modules.values():
            if child is not None:
                yield from _outside(child, inside)


def _is_bare(module: nn.Module) -> bool:
    """Whether nothing runs before, after or in place of a module's own forward."""
    state = vars(module)
    present = state.get("forward")
    return (
        (present is None or isinstance(present, StandIn))
        and state.get("_compiled_call_impl") is None
        and not any(state.get(hooks) for hooks in HOOKS)
    )


def _is_own(module: nn.Module) -> bool:
    """Whether a module is of a known package, in evaluation mode, and has the forward of its class and plain weights."""
    present = vars(module).get("forward")
    foreign = isinstance(present, StandIn) and present.is_foreign
    plain = all(weight is None or type(weight) is nn.Parameter for weight in module._parameters.values())
    return not foreign and plain and type(module).__module__.split(".")[0] in PACKAGES


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
