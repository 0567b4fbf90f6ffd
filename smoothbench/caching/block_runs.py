"""Runs of blocks that a span can stand in for: the blocks of a denoiser in order of execution, and their stacks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from smoothbench.caching.blocks import Block, branch_blocks, is_unet

LEVELS = "levels"  # the stack of a U-Net's levels


def span_blocks(denoiser: nn.Module) -> tuple[Block, ...]:
    """Find the blocks of which spans are made, in order of execution: of a U-Net its levels, down and up again.

    A denoiser may declare their paths by a method `cache_blocks()`; one that declares its sites alone has the
    modules around them as its blocks.
    """
    declared = _declared(denoiser)
    if declared:
        return tuple(_read_by_skips(denoiser, [Block(path, path, "declared") for path in declared]))
    if is_unet(denoiser):
        return tuple(_levels(denoiser))
    if "down_downscalers" in denoiser._modules:
        return tuple(Block(path, path, "deepest level") for path in _deepest_level(denoiser))
    blocks = [block for block in branch_blocks(denoiser) if not block.name.startswith("control_")]
    return tuple(_read_by_skips(denoiser, _in_order(blocks)))


def default_spans(blocks: Sequence[Block]) -> list[tuple[int, int]]:
    """The longest span of each stack; of a U-Net all but its outermost levels (DeepCache, arXiv 2312.00858)."""
    if blocks and blocks[0].stack == LEVELS:
        start = next(i for i, block in enumerate(blocks) if block.reader is not None)
        deeper = min(start + 1, len(blocks) // 2)
        return [(deeper, (blocks[deeper].reader or deeper))]
    stacks = [block.stack for block in blocks]
    return [
        (stacks.index(stack), len(stacks) - 1 - stacks[::-1].index(stack)) for stack in dict.fromkeys(stacks)
    ]


def check_span(blocks: Sequence[Block], first: int, last: int, denoiser: str) -> None:
    """Raise ValueError, with the reason, for a run of blocks that no span can stand in for."""
    no_span = f"no span of blocks {first} to {last} in {denoiser}: "
    if not 0 <= first <= last < len(blocks):
        raise ValueError(f"{no_span}it has blocks 0 to {len(blocks) - 1}")
    if blocks[first].stack != blocks[last].stack:
        stacks = " or ".join(f"{a} to {b}" for a, b in default_spans(blocks))
        raise ValueError(
            f"{no_span}{blocks[first].path} and {blocks[last].path} have different streams; a span lies within "
            f"blocks {stacks}"
        )
    for i in range(first, last):
        reader = blocks[i].reader
        if reader is not None and reader > last:
            raise ValueError(
                f"{no_span}block {reader} reads what block {i} gives, so that it must be in the span too"
            )


def _declared(denoiser: nn.Module) -> tuple[str, ...]:
    """The paths of the blocks that a denoiser declares; empty where it declares none."""
    blocks: Any = getattr(denoiser, "cache_blocks", None)
    if blocks is not None:
        return tuple(blocks())
    sites: Any = getattr(denoiser, "cache_sites", None)
    return () if sites is None else tuple(dict.fromkeys(site.path.rpartition(".")[0] for site in sites()))


def _in_order(blocks: Sequence[Block]) -> list[Block]:
    """Blocks in order of execution: those over space and over time take turns (Latte)."""
    if not any(block.name.startswith("temporal_") for block in blocks):
        return list(blocks)
    turns = sorted(blocks, key=lambda block: int(block.name.split(".")[-1]))
    return [replace(block, stack="in turns") for block in turns]


def _read_by_skips(denoiser: nn.Module, blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield blocks with their readers: where later blocks take skips, the last reads the first, and so on."""
    for i, block in enumerate(blocks):
        reader = len(blocks) - 1 - i
        takes_skip = (
            denoiser.get_submodule(blocks[reader].path)._modules.get("skip_linear") if reader > i else None
        )
        yield block if takes_skip is None else replace(block, reader=reader)


def _levels(denoiser: nn.Module) -> Iterator[Block]:
    """Yield the levels of a U-Net; those up again are read in the order opposite to that down."""
    down, up = (len(denoiser.get_submodule(name)) for name in ("down_blocks", "up_blocks"))  # type: ignore[arg-type]
    middle = denoiser._modules.get("mid_block") is not None
    last = down + middle + up - 1
    for i in range(down):
        reader = last - i + down - up
        yield Block(f"down_blocks.{i}", f"down_blocks.{i}", LEVELS, reader=reader if reader <= last else None)
    if middle:
        yield Block("mid_block", "mid_block", LEVELS)
    for i in range(up):
        yield Block(f"up_blocks.{i}", f"up_blocks.{i}", LEVELS)


def _deepest_level(denoiser: nn.Module) -> Iterator[str]:
    """Yield the layers of Stable Cascade's deepest level, down and up again."""
    down: Any = denoiser.get_submodule("down_blocks")
    up: Any = denoiser.get_submodule("up_blocks")
    yield from (f"down_blocks.{len(down) - 1}.{i}" for i in range(len(down[-1])))
    yield from (f"up_blocks.0.{i}" for i in range(len(up[0])))
