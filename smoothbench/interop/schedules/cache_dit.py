"""cache-dit's configuration of a static mask of evaluations (vipshop/cache-dit 1.5, `steps_computation_mask`)."""

from typing import Any

from smoothbench.caching.sites import SPAN
from smoothbench.interop.schedules.request import Exported, Request

FIRST_DIFFERENCE = 3  # its TaylorSeer takes the first difference at this evaluation
HEAD = """\
# cache-dit computes the evaluations that {source} computes, and reuses in the others what the blocks added last.
#
#     import cache_dit
#     cache_dit.enable_cache(pipe, **cache_dit.load_configs("THIS_FILE.yaml"))
#     pipe(..., num_inference_steps={evals})
#
# Tested with cache-dit 1.5.3.
cache_config:
"""


def export(request: Request) -> Exported:
    """Write the YAML file that `cache_dit.load_configs` reads.

    cache-dit computes the first `Fn_compute_blocks` and the last `Bn_compute_blocks` at every evaluation and reuses
    what the others add to the stream: the span of these blocks, exactly; the whole stack but for its first block,
    which it always computes. Raises UsageError for what it cannot express.
    """
    request.refuse_other_networks()
    mask = request.mask
    first, last_blocks, notes = 1, 0, list[str]()
    if request.level == SPAN:
        first, last_blocks, notes = _always_computed(request)
    else:
        notes += request.require_mask_only("what the blocks after the first one add")
    settings: dict[str, Any] = {
        "Fn_compute_blocks": first,
        "Bn_compute_blocks": last_blocks,
        "max_warmup_steps": 0,
        "num_inference_steps": len(mask),
        "steps_computation_mask": [int(bit) for bit in mask],
        "steps_computation_policy": "static",
        **_taylor(request),
    }
    if request.forwards is None:
        notes.append(
            "cache-dit knows by the pipeline's class whether guidance takes two forwards: --forwards says it"
        )
    else:
        settings["enable_separate_cfg"] = str(request.forwards == 2).lower()
    head = HEAD.format(source=request.printable_source, evals=request.steps)
    return Exported(head + "".join(f"  {key}: {value}\n" for key, value in settings.items()), tuple(notes))


def _always_computed(request: Request) -> tuple[int, int, list[str]]:
    """How many first and last blocks are always computed, and what the user must know."""
    first, last = request.ends
    notes, after = [], 0
    if first == 0:
        notes.append(
            "cache-dit always computes the first block: it computes the same evaluations, and one block in the others"
        )
    if request.blocks is None:
        notes.append(f"block {last} is taken for the last one: --model FOLDER looks it up")
    else:
        after = request.blocks - 1 - last
    if len(request.sites) > 1:
        if first > 1 or after:
            raise request.refused(
                "cache-dit counts always computed blocks in each list of blocks, this model has several"
            )
        notes.append("in a model with several lists of blocks cache-dit may compute the first block of each")
    return max(first, 1), after, notes


def _taylor(request: Request) -> dict[str, str | int]:
    """The settings of its TaylorSeer; UsageError where that forecasts from other differences than ours."""
    if not request.order:
        return {}
    needed = FIRST_DIFFERENCE + request.order
    if not all(request.mask[:needed]):
        raise request.refused(
            f"cache-dit takes the first difference at evaluation {FIRST_DIFFERENCE}: {request.predictor} is the same "
            f"there only after {needed} computed evaluations, here are {request.mask.index(False)}"
        )
    return {
        "enable_taylorseer": "true",
        "enable_encoder_taylorseer": "true",
        "taylorseer_order": request.order,
    }
