"""Detect caches of other libraries, which must not be active on the same denoiser."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from smoothbench.caching.hooks import all_parts

REGISTRY = "_diffusers_hook"  # where diffusers keeps the hooks of a module
EXACT = "text_kv_cache"  # caches only values that are constant over a run, so it approximates nothing
# attributes by which libraries mark a denoiser: ParaAttention, cache-dit and xDiT; TeaCache, on the class
MARKS = {"_is_cached": "cache-dit, ParaAttention or xDiT", "enable_teacache": "TeaCache"}


def refuse_other_caches(denoiser: nn.Module, parts: Sequence[nn.Module] | None = None) -> None:
    """Raise ValueError, naming it, where another library's cache is active on the denoiser or its blocks.

    Args: parts, all modules of the denoiser, where the caller has them.
    """
    # every cached(...) asks this, mostly of denoisers without hooks or marks
    parts = all_parts(denoiser) if parts is None else parts
    states = [part.__dict__ for part in parts]
    hooked = [state for name in (REGISTRY, *MARKS) for state in states if name in state]
    if not hooked and not any(_marked(vars(kind)) for kind in set(map(type, parts))):
        return
    for path, module in denoiser.named_modules():
        if rival := _hooked(module) or _marked(vars(type(module))) or _marked(vars(module)):
            where = f"{type(denoiser).__name__}{'.' if path else ''}{path}"
            raise ValueError(
                f"{where} is cached by {rival} already, and two caches would answer for each other: turn that "
                "one off first (diffusers: disable_cache())"
            )


def _hooked(module: nn.Module) -> str | None:
    """The first of diffusers' hooks on a module that caches, recognised by the file that its class is from."""
    registry = vars(module).get(REGISTRY)
    for name, hook in getattr(registry, "hooks", {}).items():
        source = type(hook).__module__.rpartition(".")[2]
        if source != EXACT and ("cache" in source or "broadcast" in source):
            return f"diffusers' hook {name}"
    return None


def _marked(attributes: Mapping[str, Any]) -> str | None:
    return next((library for mark, library in MARKS.items() if attributes.get(mark)), None)
