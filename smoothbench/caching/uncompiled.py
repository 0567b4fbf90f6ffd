"""Run compiled modules uncompiled while forwards are intercepted."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

from smoothbench.caching.hooks import Forward, StandIn

CALL, HANDLED = "_compiled_call_impl", "_orig_mod"  # torch's names: module.compile(), torch.compile(module)


def original_module(denoiser: nn.Module) -> nn.Module:
    """The module that `torch.compile(module)` wrapped, or the denoiser itself where it is not wrapped."""
    inner: nn.Module | None = denoiser._modules.get(HANDLED)
    return denoiser if inner is None else inner


@contextmanager
def uncompiled(denoiser: nn.Module, intercepted: Iterable[nn.Module], stacklevel: int = 6) -> Iterator[None]:
    """Run compiled modules around intercepted ones uncompiled within a context, with a warning.

    A graph holds what Python did when it was traced: which branch ran, which outputs were kept. `denoiser`
    may be what torch.compile gave; compiled modules inside a branch stay as they are. `stacklevel` is that of the
    warning, by default where cached(...) is entered.
    """
    inside = {id(module) for module in intercepted}
    modules = list(denoiser.modules())
    calls = [(m, vars(m)[CALL]) for m in modules if vars(m).get(CALL) is not None and _holds(m, inside)]
    # a compiled branch is intercepted from outside, so its graph contains nothing of the engine
    handles = [m for m in modules if HANDLED in m._modules and id(m) not in inside and _holds(m, inside)]
    stand_ins = [StandIn(handle, partial(_inner, handle)) for handle in handles]
    if calls or handles:
        warnings.warn(
            f"{type(original_module(denoiser)).__name__} is compiled: here it runs uncompiled, for a graph would "
            "repeat what was decided at tracing; smoothbench.caching.compiled.Compiled compiles a static schedule",
            stacklevel=stacklevel,
        )
    try:
        for module, _ in calls:
            object.__setattr__(module, CALL, None)
        for stand_in in stand_ins:
            stand_in.enter()
        yield
    finally:
        for stand_in in reversed(stand_ins):
            stand_in.leave(forever=True)
        for module, call in calls:
            object.__setattr__(module, CALL, call)


def _inner(handle: nn.Module, _: Forward) -> Forward:
    return original_module(handle)


def _holds(module: Any, inside: set[int]) -> bool:
    return any(id(part) in inside for part in module.modules())
