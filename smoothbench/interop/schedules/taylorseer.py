"""diffusers' TaylorSeer: branches that are computed at even intervals after a warm-up, and forecast in between."""

from collections.abc import Sequence

from smoothbench.interop.schedules.module_patterns import lines, patterns
from smoothbench.interop.schedules.request import Exported, Request

CODE = '''\
"""Skip branches at the evaluations that {source} skips, and put {stand_in} there: enable(pipe).

Run the pipeline with num_inference_steps={steps}. It must name its forwards by `cache_context`, as the pipelines of
FLUX, Wan, HunyuanVideo, LTX and others do.
"""

import re

import torch
from diffusers.hooks import TaylorSeerCacheConfig, apply_taylorseer_cache

MODULES = [
{modules}]


def enable(pipe):
    """Put the schedule on the pipeline's {component}; ValueError where this has none of the modules."""
    transformer = pipe.{component}
    names = [name for name, _ in transformer.named_modules()]
    if not all(any(re.fullmatch(pattern, name) for name in names) for pattern in MODULES):
        raise ValueError("the schedule is for another transformer: it has none of the modules of MODULES")
    config = TaylorSeerCacheConfig(
        cache_interval={interval},
        disable_cache_before_step={before},
        disable_cache_after_step={after},
        max_order={order},
        taylor_factors_dtype=torch.float32,
        cache_identifiers=MODULES,
    )
    if hasattr(transformer, "enable_cache"):
        transformer.enable_cache(config)
    else:
        apply_taylorseer_cache(transformer, config)
'''
# the interval, and where TaylorSeer's cache is disabled: before and after
Intervals = tuple[int, int, int | None]


def export(request: Request) -> Exported | None:
    """Write Python that enables TaylorSeer; None where the branches' masks are not what it can do."""
    masks = list(zip(*request.schedule.computed, strict=True))
    skipping = [i for i, mask in enumerate(masks) if not all(mask)]
    if len({masks[i] for i in skipping}) != 1:
        return None
    bounds = intervals(masks[skipping[0]])
    if bounds is None:
        return None
    modules = "".join(lines(patterns(request, [request.sites[i] for i in skipping])))
    interval, before, after = bounds
    stand_in = f"forecasts of order {request.order}" if request.order else "what they gave last"
    settings = {"interval": interval, "before": before, "after": after, "order": request.order}
    names = {
        "source": request.printable_source,
        "steps": request.steps,
        "component": request.component,
        "stand_in": stand_in,
        "modules": modules,
    }
    return Exported(CODE.format(**settings, **names))


def intervals(mask: Sequence[bool]) -> Intervals | None:
    """Return the interval and the bounds at which TaylorSeer computes exactly a mask; None where there are none.

    It computes evaluation e where e < before, where e - before - 1 is a multiple of the interval, and where
    e >= after. Below 0, `before` sets the phase of the intervals alone.
    """
    evals = len(mask)
    tail = evals - next((i for i, bit in enumerate(reversed(mask)) if not bit), evals)
    for after in (None, tail):
        for interval in range(2, evals + 2):
            for before in range(-interval, evals):
                if all(
                    bit
                    == (e < before or (e - before - 1) % interval == 0 or (after is not None and e >= after))
                    for e, bit in enumerate(mask)
                ):
                    return interval, before, after
    return None
