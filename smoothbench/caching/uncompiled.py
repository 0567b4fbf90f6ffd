"""Run compiled modules uncompiled while forwards are intercepted."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn

from smoothbench.caching.hooks import CALL, HANDLED, Forward, StandIn, compiled_parts, holds


def original_module(denoiser: nn.Module) -> nn.Module:
    """The module that `torch.compile(module)` wrapped, or the denoiser itself where it is not wrapped."""
    inner: nn.Module | None = denoiser._modules.get(HANDLED)
    return denoiser if inner is None else inner


@contextmanager
def uncompiled(denoiser: nn.Module, intercepted: Iterable[nn.Module], stacklevel: int = 6) -> Iterator[None]:
    """Run compiled modules around intercepted ones uncompiled within a context, with a warning.

    A graph holds what Python did when it was traced: which branch ran, which outputs were kept. `denoiser`
    may be what torch.compile gave. Compiled modules that hold no intercepted one stay as they are, such as blocks where
    only spans are followed: what is compiled itself is intercepted from outside its graph. `stacklevel` is that of the
    warning, by default where cached(...) is entered.
    """
    inside, watched = {id(module) for module in intercepted}, (denoiser, original_module(denoiser))
    # the denoiser's forwards are watched, whatever is intercepted in it
    around = [m for m in compiled_parts(denoiser) if m in watched or holds(original_module(m), inside)]
    calls = [(m, vars(m)[CALL]) for m in around if vars(m).get(CALL) is not None]
    handles = [m for m in around if HANDLED in m._modules]
    stand_ins = [StandIn(handle, partial(_inner, handle)) for handle in handles]
    if calls or handles:
        warnings.warn(
            f"{type(original_module(denoiser)).__name__} is compiled: here it runs uncompiled, for a graph would "
            "repeat what was decided at tracing; smoothbench.caching.compiled.Compiled compiles a static schedule, "
            "and blocks that are compiled one by one stay so where spans are reused",
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
