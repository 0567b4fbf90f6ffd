"""The hook of diffusers that does what a schedule says, if there is one."""

from dataclasses import replace

from smoothbench.caching.sites import BRANCH, SPAN
from smoothbench.interop.schedules import mag_cache, pyramid, taylorseer
from smoothbench.interop.schedules.request import Exported, Request


def export(request: Request) -> Exported:
    """Write Python that enables a cache of diffusers on a pipeline: TaylorSeer or Pyramid Attention Broadcast for
    branches, MagCache for the whole stack of blocks.

    Raises UsageError where none of them computes the same and reuses the same.
    """
    request.refuse_second_network()
    if request.level == SPAN:
        return mag_cache.export(request)
    if request.level == BRANCH:
        exact = taylorseer.export(request) or (None if request.order else pyramid.export(request))
        if exact is not None:
            return exact
        if request.uneven or not request.mask_only:
            raise request.refused(_no_hook(request))
    notes = request.require_mask_only("what all blocks add")
    return replace(mag_cache.export(request), notes=notes)


def _no_hook(request: Request) -> str:
    where = request.uneven or "the computed evaluations are at uneven intervals"
    way_out = (
        ""
        if request.uneven
        else "; --mask-only exports these evaluations, and reuses there what all blocks add"
    )
    return (
        f"{where}: of diffusers' hooks on branches TaylorSeer computes at even intervals, and Pyramid Attention "
        f"Broadcast each kind of attention in a window of its own{way_out}"
    )
