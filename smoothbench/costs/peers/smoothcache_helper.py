"""The helper that SmoothCache's authors published (Roblox/SmoothCache), from a clone that the user names."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from smoothbench.caching import find_sites
from smoothbench.costs.peers.peer import Peer, every
from smoothbench.errors import UsageError

MODULE = "SmoothCache/smooth_cache_helper.py"


def peers(clone: Path) -> list[Peer]:
    """Return the published helper, with its prints silenced; UsageError where the folder is no clone of it."""
    if not (clone / MODULE).is_file():
        raise UsageError(f"--smoothcache {clone}: has no {MODULE}: give a clone of Roblox/SmoothCache")
    name = "SmoothCache's helper, silenced"
    return [Peer(name, "branches", "torch", "", partial(_attach, clone / MODULE))]


def _attach(file: Path, denoiser: nn.Module, interval: int, evals: int) -> Callable[[], object]:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("published_smooth_cache_helper", file)
    assert spec is not None and spec.loader is not None
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.print = _silent  # it prints a line for every call of every branch
    paths = [site.path.rpartition(".") for site in find_sites(denoiser)]
    blocks = {type(denoiser.get_submodule(block)) for block, _, _ in paths}
    components = list(dict.fromkeys(component for _, _, component in paths))
    bits = [int(bit) for bit in every(interval, evals)]
    helper = module.SmoothCacheHelper(denoiser, list(blocks), components, dict.fromkeys(components, bits))
    helper.enable()
    return helper.reset_state


def _silent(*_: Any) -> None: ...
