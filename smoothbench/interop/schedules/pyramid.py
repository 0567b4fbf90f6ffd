"""diffusers' Pyramid Attention Broadcast: attention that is computed once in a window, in the middle of the run."""

from collections.abc import Sequence

from smoothbench.caching import Site
from smoothbench.interop.schedules.module_patterns import patterns
from smoothbench.interop.schedules.request import Exported, Request

CODE = '''\
"""Reuse attention at the evaluations that {source} skips: enable(pipe), then pipe(...).

Run the pipeline with num_inference_steps={steps}. Its `current_timestep` tells which evaluation runs: the ranges are
evaluations in place of timesteps.
"""

import re

from diffusers.hooks import HookRegistry, PyramidAttentionBroadcastConfig, apply_pyramid_attention_broadcast

WINDOWS = [  # modules, the evaluations between which they are reused, and the window: its multiples are computed
{windows}]


def enable(pipe):
    """Put the schedule on the pipeline's {component}; ValueError where diffusers cannot reuse its attention.

    A run whose guidance takes a forward of its own stops with a ValueError: one output is kept for both forwards.
    """
    if not hasattr(type(pipe), "current_timestep"):
        raise ValueError(f"{{type(pipe).__name__}} does not tell its current_timestep")

    def evaluation():
        return int((pipe.scheduler.timesteps == pipe.current_timestep).nonzero()[0])

    for pattern, between, window in WINDOWS:
        modules = [part for name, part in pipe.{component}.named_modules() if re.search(pattern, name)]
        across = any(getattr(module, "is_cross_attention", False) for module in modules)
        attention = "cross_attention" if across else "spatial_attention"
        settings = {{"block_identifiers": (pattern,), "timestep_skip_range": between, "block_skip_range": window}}
        config = PyramidAttentionBroadcastConfig(
            **{{f"{{attention}}_{{key}}": value for key, value in settings.items()}},
            current_timestep_callback=evaluation,
        )
        apply_pyramid_attention_broadcast(pipe.{component}, config)
        if not modules or not all(hasattr(module, "_diffusers_hook") for module in modules):
            raise ValueError(f"{{pattern}} names no attention of this transformer that diffusers can reuse")
    last = -1

    def begin(*_):
        nonlocal last
        e = evaluation()
        if e == last > 0:
            raise ValueError("guidance takes a second forward, with which diffusers' cache cannot be shared")
        if e <= last:  # a new run: diffusers starts its counters anew only in some transformers
            HookRegistry.check_if_exists_or_initialize(pipe.{component}).reset_stateful_hooks()
        last = e

    pipe.{component}.register_forward_pre_hook(begin)
'''
Window = tuple[int, int, int]  # the evaluations between which it is heeded, and its length
Mask = tuple[bool, ...]


def export(request: Request) -> Exported | None:
    """Write Python that enables Pyramid Attention Broadcast; None where the masks are not windows of attention.

    Raises UsageError where an evaluation takes two forwards: diffusers counts each, and keeps one output for both.
    """
    groups: dict[tuple[str, Mask], list[Site]] = {}
    for site, mask in zip(request.sites, zip(*request.schedule.computed, strict=True), strict=True):
        if not all(mask):
            groups.setdefault((site.kind, mask), []).append(site)
    windows = {kind_and_mask: window(kind_and_mask[1]) for kind_and_mask in groups}
    if not all(windows.values()) or not all(kind.endswith("attn") for kind, _ in groups):
        return None
    if request.forwards == 2:
        raise request.refused(
            "diffusers' Pyramid Attention Broadcast keeps one output for both forwards of an evaluation: no hook there "
            "follows these windows with two"
        )
    if request.steps != request.schedule.evals:
        raise request.refused(
            f"diffusers' Pyramid Attention Broadcast goes by the scheduler's {request.steps} steps, of which the run "
            f"makes {request.schedule.evals} evaluations"
        )
    lines = ""
    for group, sites in groups.items():
        low, high, length = windows[group] or (0, 0, 0)
        for pattern in patterns(request, sites):
            lines += f"    ({'^' + pattern + '$'!r}, ({low}, {high}), {length}),\n"
    return Exported(
        CODE.format(
            source=request.printable_source, steps=request.steps, component=request.component, windows=lines
        )
    )


def window(mask: Sequence[bool]) -> Window | None:
    """Return the window whose multiples are computed between two evaluations, and all outside; None: there is none."""
    skipped = [e for e, bit in enumerate(mask) if not bit]
    low, high = skipped[0] - 1, skipped[-1] + 1
    for length in range(2, len(mask) + 1):
        if all(mask[e] == (e % length == 0) for e in range(low + 1, high)):
            return low, high, length
    return None
