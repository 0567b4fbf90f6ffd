"""diffusers' MagCache with ratios that make it compute the evaluations of a mask, whatever the model does."""

from smoothbench.caching.sites import SPAN
from smoothbench.interop.schedules.request import Exported, Request

CODE = '''\
"""Reuse what all blocks add to the stream, at the evaluations that {source} skips: enable(pipe), then pipe(...).

Run the pipeline with num_inference_steps={steps}. diffusers' MagCache computes an evaluation where the error that it
adds up from its ratios is above the threshold: the ratios below make it do so where MASK is 1, and nowhere else.
"""

from diffusers.hooks import MagCacheConfig, apply_mag_cache
from torch import nn

MASK = {mask}
BLOCKS = {blocks}
LISTS = ("blocks", "transformer_blocks", "single_transformer_blocks", "layers")
LISTS += ("visual_transformer_blocks", "temporal_transformer_blocks")


def enable(pipe):
    """Put the schedule on the pipeline's {component}; ValueError where this has another number of blocks."""
    transformer = pipe.{component}
    lists = [part for name, part in transformer.named_children() if name in LISTS]
    blocks = sum(len(part) for part in lists if isinstance(part, nn.ModuleList))
    if BLOCKS not in (None, blocks):
        raise ValueError(f"the schedule is for {{BLOCKS}} blocks, this transformer has {{blocks}}")
    config = MagCacheConfig(
        threshold=0.5,
        max_skip_steps=len(MASK),
        retention_ratio=0.0,
        num_inference_steps=len(MASK),
        mag_ratios=[2.0 if computed else 1.0 for computed in MASK],
    )
    if hasattr(transformer, "enable_cache"):
        transformer.enable_cache(config)
    else:
        apply_mag_cache(transformer, config)
'''


def export(request: Request) -> Exported:
    """Write Python that enables MagCache: exact for a span of all blocks that repeats the last output.

    Raises UsageError for other spans and for other predictors.
    """
    if request.order:
        raise request.refused(
            f"diffusers' MagCache repeats what the blocks added last, it has no {request.predictor}"
        )
    blocks = _whole_stack(request) if request.level == SPAN else None
    mask = [int(bit) for bit in request.mask]
    return Exported(
        CODE.format(
            source=request.printable_source,
            steps=request.steps,
            mask=mask,
            blocks=blocks,
            component=request.component,
        )
    )


def _whole_stack(request: Request) -> int:
    """The number of blocks that the spans reuse; UsageError where these are not all blocks of the denoiser."""
    first, last = request.ends
    count = request.blocks or last + 1
    if (first, last) != (0, count - 1):
        raise request.refused(
            f"diffusers' MagCache reuses all {count} blocks, not blocks {first} to {last}; --to cache-dit can"
        )
    return count
