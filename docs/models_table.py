"""Write docs/models.md again: python -m docs.models_table

The table says which denoiser classes of the installed diffusers can be cached at which levels. It is read off tiny
instances of the classes; a test runs every one of them.
"""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import diffusers
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from smoothbench.caching import find_sites
from smoothbench.caching.unsupported import NO_BRANCHES, NO_DENOISER
from tests.support.tiny_denoisers import TINY

PAGE = Path(__file__).parent / "models.md"
HEAD = """# Which models can be cached

<!-- written by python -m docs.models_table -->

These are the transformers and U-Nets of diffusers {version}. Of them {denoisers} can be cached as a whole (`denoiser`)
and by runs of blocks (`span`), {branches} also by their residual branches (`branch`); `find_sites(transformer, levels)`
finds the sites. [The glossary](glossary.md#caching) says what the words mean. A tiny instance of every class is tested:
calibrated, reused at each level against an independent writing, restored, and its MACs counted. Text encoders inside a
transformer, and refiners before its blocks, are no sites: they are always computed. What keeps keys between forwards
(`kv_cache`) is tested without them.

A span keeps what its blocks *add* to each stream, or what they *give*, where that has another shape or is joined with
skips. Where a class has two spans, its streams are joined or parted between them, and no span goes across.

"""
FLEX = "torch's counter of MACs stops at its flex attention: it follows schedules, but is not calibrated"
REMARKS: Mapping[str, str] = MappingProxyType(
    {
        "AnyFlowFARTransformer3DModel": FLEX,
        "ConsisIDTransformer3DModel": "the attention to the face, between blocks, is always computed",
        "Cosmos3OmniTransformer": "`context_ff` is the feed-forward of the text",
        "Flux3Transformer2DModel": "the blocks of the text and of a reference picture are always computed",
        "HunyuanDiT2DModel": "a span with an early block has the block that reads it by a skip",
        "Kandinsky5Transformer3DModel": "the blocks of the text are always computed",
        "Kandinsky6SRTransformer3DModel": FLEX,
        "Kandinsky6Transformer3DModel": "the blocks of the texts are always computed",
        "RFD4ProteinaTransformer": "with a recycle depth of at most 1",
        "SD3Transformer2DModel": "`image_self_attn` is the second attention of SD 3.5 medium",
        "StableCascadeUNet": "the span is the deepest level",
        "UVit2DModel": "has no timestep: announce the evaluations",
        "WanAnimateTransformer3DModel": "the attention to the face, between blocks, is always computed",
        "WanVACETransformer3DModel": "the blocks of the control are in no span",
    }
)


def page() -> str:
    """The page: its head, and a line for each class."""
    lines = [
        "| class | levels | kinds of branches | spans | a span keeps what its blocks | remark |",
        "| --- | --- | --- | ---: | --- | --- |",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines += [_row(name) for name in sorted(TINY)]
    lines += [f"| {name} | none | - | - | - | {reason} |" for name, reason in sorted(NO_DENOISER.items())]
    head = HEAD.format(
        version=".".join(diffusers.__version__.split(".")[:2]),
        denoisers=len(TINY),
        branches=len(set(TINY) - set(NO_BRANCHES)),
    )
    return head + "\n".join(lines) + "\n"


def _row(name: str) -> str:
    denoiser = TINY[name].build(name)
    spans = find_sites(denoiser, "span")
    branches = [] if name in NO_BRANCHES else find_sites(denoiser)
    kinds = ", ".join(f"`{kind}`" for kind in dict.fromkeys(site.kind for site in branches)) or "-"
    levels = "span, denoiser" if name in NO_BRANCHES else "branch, span, denoiser"
    keeps = " ".join(
        dict.fromkeys("give" if _gives(denoiser, name, site.blocks) else "add" for site in spans)
    )
    remark = f"no branches: {NO_BRANCHES[name]}" if name in NO_BRANCHES else REMARKS.get(name, "")
    return f"| {name} | {levels} | {kinds} | {len(spans)} | {keeps} | {remark} |"


def _gives(denoiser: nn.Module, name: str, blocks: tuple[str, ...]) -> bool:
    """Whether a span keeps what its blocks give: it leaves with a shape that did not enter, or past skips."""
    if blocks[0].startswith("down_blocks") and blocks[-1].startswith("up_blocks") and "Cascade" not in name:
        return True
    first, last = denoiser.get_submodule(blocks[0]), denoiser.get_submodule(blocks[-1])
    shapes: dict[str, set[torch.Size]] = {}
    handles = [
        first.register_forward_pre_hook(
            lambda _, args, kwargs: shapes.update(entered=set(_shapes((args, kwargs)))), with_kwargs=True
        ),
        last.register_forward_hook(lambda _, args, output: shapes.update(left=set(_shapes(output)))),
    ]
    with torch.no_grad():
        denoiser(**TINY[name].at(0.9))
    for handle in handles:
        handle.remove()
    return not shapes["left"] <= shapes["entered"]


def _shapes(values: object) -> Iterator[torch.Size]:
    yield from (leaf.shape for leaf in pytree.tree_leaves(values) if isinstance(leaf, Tensor))


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE)
