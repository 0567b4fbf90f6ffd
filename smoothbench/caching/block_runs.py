"""Runs of blocks that a span can stand in for: the blocks of a denoiser in order of execution, and their stacks."""

from collections.abc import Iterator, Sequence
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
        skips = any(_takes_skip(denoiser, path) for path in declared)
        return tuple(Block(path, path, "declared", skips=skips) for path in declared)
    if is_unet(denoiser):
        return tuple(Block(path, path, LEVELS, skips=True) for path in _levels(denoiser))
    if "down_downscalers" in denoiser._modules:
        return tuple(Block(path, path, "deepest level") for path in _deepest_level(denoiser))
    return tuple(_in_order(denoiser, branch_blocks(denoiser)))


def default_spans(blocks: Sequence[Block]) -> list[tuple[int, int]]:
    """The longest span of each stack; of a U-Net all but its outermost levels (DeepCache, arXiv 2312.00858)."""
    if blocks and blocks[0].stack == LEVELS:
        outermost = min(1, (len(blocks) - 1) // 2)
        return [(outermost, len(blocks) - 1 - outermost)]
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
    reader = len(blocks) - 1 - first
    if blocks[first].skips and first != last < reader:
        raise ValueError(
            f"{no_span}block {reader} reads what block {first} gives, so that a span from block {first} must reach "
            f"block {reader}"
        )


def _declared(denoiser: nn.Module) -> tuple[str, ...]:
    """The paths of the blocks that a denoiser declares; empty where it declares none."""
    blocks: Any = getattr(denoiser, "cache_blocks", None)
    if blocks is not None:
        return tuple(blocks())
    sites: Any = getattr(denoiser, "cache_sites", None)
    return () if sites is None else tuple(dict.fromkeys(site.path.rpartition(".")[0] for site in sites()))


def _takes_skip(denoiser: nn.Module, path: str) -> bool:
    return denoiser.get_submodule(path)._modules.get("skip_linear") is not None


def _in_order(denoiser: nn.Module, blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield blocks in order of execution: those over space and over time take turns (Latte)."""
    skips = any(_takes_skip(denoiser, block.path) for block in blocks)
    take_turns = any(block.name.startswith("temporal_") for block in blocks)
    if take_turns:
        blocks = sorted(blocks, key=lambda block: int(block.name.split(".")[-1]))
    for block in blocks:
        yield Block(block.name, block.path, "" if take_turns else block.stack, block.branches, skips)


def _levels(denoiser: nn.Module) -> Iterator[str]:
    for name in ("down_blocks", "mid_block", "up_blocks"):
        module = denoiser._modules.get(name)
        if isinstance(module, nn.ModuleList):
            yield from (f"{name}.{i}" for i in range(len(module)))
        elif module is not None:
            yield name


def _deepest_level(denoiser: nn.Module) -> Iterator[str]:
    """Yield the layers of Stable Cascade's deepest level, down and up again."""
    down: Any = denoiser.get_submodule("down_blocks")
    up: Any = denoiser.get_submodule("up_blocks")
    yield from (f"down_blocks.{len(down) - 1}.{i}" for i in range(len(down[-1])))
    yield from (f"up_blocks.0.{i}" for i in range(len(up[0])))
