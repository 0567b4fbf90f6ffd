"""The blocks of a denoiser in order of execution: found by structure, and declared where structure does not tell."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import nn

from smoothbench.caching.block_branches import Branch, branches, has_branches, is_whole_block

# lists of blocks beside the main stream: texts and refiners, which cost little
BESIDE = ("refiner", "text", "txt", "vace")
# what the layers over time are called
TEMPORAL = ("temporal", "temp_attentions", "motion_modules", "transformer_in")
# lists of blocks where their names and order do not tell
LISTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"Flux3Transformer2DModel": ("mode_blocks.image", "single_transformer_blocks")}
)
# blocks that could take both streams apart, but are given one that is joined
JOINED = ("Flux2SingleTransformerBlock",)


@dataclass(frozen=True)
class Block:
    """One block of a denoiser, for example `blocks.3`, `temporal_blocks.3` or `single_blocks.3`.

    `path` leads to its module, `stack` names the blocks that hand the same streams on, and `skips` says that blocks
    of the stack also hand their output to a later one: the first to the last, the second to the last but one.
    """

    name: str
    path: str
    stack: str
    branches: tuple[Branch, ...] = ()
    skips: bool = False


def branch_blocks(denoiser: nn.Module) -> tuple[Block, ...]:
    """Find the blocks of a denoiser that have branches, in the order of its modules."""
    found = list(_in_lists(denoiser)) if not is_unet(denoiser) else []
    if not found:
        found = [(path, path, block) for path, block in _anywhere(denoiser, "")]
    over_time = any(_is_temporal(path) for _, path, _ in found)
    counts: dict[str, int] = {}
    blocks = []
    for stack, path, block in found:
        prefix = _prefix(path, over_time)
        number = counts.get(prefix, 0)
        counts[prefix] = number + 1
        blocks.append(Block(f"{prefix}blocks.{number}", path, stack, branches(path, block)))
    return tuple(blocks)


def span_blocks(denoiser: nn.Module) -> tuple[Block, ...]:
    """Find the blocks of which spans are made, in order of execution: of a U-Net its levels, down and up again."""
    if is_unet(denoiser):
        return tuple(Block(path, path, "levels", skips=True) for path in _levels(denoiser))
    if "down_downscalers" in denoiser._modules:
        return tuple(Block(path, path, "deepest level") for path in _deepest_level(denoiser))
    declare: Any = getattr(denoiser, "cache_blocks", None)
    paths = None if declare is None else tuple(declare())
    if paths is None and hasattr(denoiser, "cache_sites"):
        paths = tuple(dict.fromkeys(site.path.rpartition(".")[0] for site in denoiser.cache_sites()))
    if paths is not None:
        skips = any(_takes_skip(denoiser.get_submodule(path)) for path in paths)
        return tuple(Block(path, path, "blocks", skips=skips) for path in paths)
    return tuple(_in_order(denoiser, branch_blocks(denoiser)))


def is_unet(denoiser: nn.Module) -> bool:
    """Whether a denoiser goes down through levels and up again, with skips between them."""
    levels = denoiser._modules.get("down_blocks"), denoiser._modules.get("up_blocks")
    return all(isinstance(blocks, nn.ModuleList) and len(blocks) for blocks in levels) and not any(
        isinstance(block, nn.ModuleList) for block in levels[0] or ()
    )


def default_spans(blocks: Sequence[Block]) -> list[tuple[int, int]]:
    """The longest span of each stack; of a U-Net all but its outermost levels, as DeepCache (arXiv 2312.00858)."""
    if blocks and blocks[0].stack == "levels":
        outermost = min(1, (len(blocks) - 1) // 2)
        return [(outermost, len(blocks) - 1 - outermost)]
    stacks = [block.stack for block in blocks]
    return [
        (stacks.index(stack), len(stacks) - 1 - stacks[::-1].index(stack)) for stack in dict.fromkeys(stacks)
    ]


def check_span(blocks: Sequence[Block], first: int, last: int, denoiser: str) -> None:
    """Raise ValueError for a run of blocks that no span can stand in for, and say why."""
    if not 0 <= first <= last < len(blocks):
        raise ValueError(
            f"no span of blocks {first} to {last} in {denoiser}: it has blocks 0 to {len(blocks) - 1}"
        )
    if blocks[first].stack != blocks[last].stack:
        raise ValueError(
            f"no span of blocks {first} to {last} in {denoiser}: {blocks[first].path} and {blocks[last].path} have "
            "different streams; spans may be "
            + " and ".join(f"{a} to {b}" for a, b in default_spans(blocks))
            + ", or parts of these"
        )
    end = len(blocks) - 1 - first
    if blocks[first].skips and first < end and first != last < end:
        raise ValueError(
            f"no span of blocks {first} to {last} in {denoiser}: block {end} reads what block {first} gives, so that "
            f"a span from {first} ends at {end} or later"
        )


def _in_lists(denoiser: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    """Yield the stack, the path and the module of each block in the lists of a denoiser, in the lists' order."""
    stack, earlier = "", None
    for path in LISTS.get(type(denoiser).__name__) or _list_paths(denoiser):
        listed = denoiser.get_submodule(path)
        assert isinstance(listed, nn.ModuleList)
        if earlier is None or not _same_streams(earlier, listed[0], path):
            stack = path
        earlier = listed[0]
        for i, block in enumerate(listed):
            yield stack, f"{path}.{i}", block


def _list_paths(denoiser: nn.Module) -> list[str]:
    lists = {name: child for name, child in denoiser.named_children() if isinstance(child, nn.ModuleList)}
    return [
        name
        for name, child in lists.items()
        if len(child) and not any(word in name for word in BESIDE) and has_branches(child[0])
    ]


def _same_streams(block: nn.Module, later: nn.Module, path: str) -> bool:
    """Whether blocks of a single stream still take both streams apart, as those of two streams before them."""
    if "single" not in path or type(later).__name__ in JOINED:
        return False
    return all(
        any(name == "encoder_hidden_states" and default is inspect.Parameter.empty for name, default in required)
        for required in (_defaults(block), _defaults(later))
    )


def _defaults(block: nn.Module) -> list[tuple[str, Any]]:
    return [(name, part.default) for name, part in inspect.signature(block.forward).parameters.items()]


def _anywhere(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield the blocks below a module, in order; the inside of a block is not searched."""
    for name, child in module.named_children():
        here = f"{path}.{name}" if path else name
        if is_whole_block(child):
            yield here, child
        else:
            yield from _anywhere(child, here)


def _is_temporal(path: str) -> bool:
    return any(word in path for word in TEMPORAL)


def _prefix(path: str, over_time: bool) -> str:
    """What stands before `blocks` in a name: over time or not, or a single stream."""
    if over_time:
        return "temporal_" if _is_temporal(path) else "spatial_"
    return "single_" if "single" in path.split(".")[0] else ""


def _in_order(denoiser: nn.Module, blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield blocks in order of execution: Latte's over space and over time take turns."""
    skips = any(_takes_skip(denoiser.get_submodule(block.path)) for block in blocks)
    turns = sorted(blocks, key=lambda block: int(block.name.split(".")[-1]))
    spatial = any(block.name.startswith("spatial_") for block in blocks)
    for block in turns if spatial else blocks:
        stack = "blocks" if spatial else block.stack
        yield Block(block.name, block.path, stack, block.branches, skips)


def _takes_skip(block: nn.Module) -> bool:
    return block._modules.get("skip_linear") is not None


def _levels(denoiser: nn.Module) -> Iterator[str]:
    modules = denoiser._modules
    yield from (f"down_blocks.{i}" for i in range(len(modules["down_blocks"])))  # type: ignore[arg-type]
    if modules.get("mid_block") is not None:
        yield "mid_block"
    yield from (f"up_blocks.{i}" for i in range(len(modules["up_blocks"])))  # type: ignore[arg-type]


def _deepest_level(denoiser: nn.Module) -> Iterator[str]:
    """Yield the layers of Stable Cascade's deepest level, down and up again."""
    deepest = len(denoiser.get_submodule("down_blocks")) - 1  # type: ignore[arg-type]
    for level in (f"down_blocks.{deepest}", "up_blocks.0"):
        yield from (f"{level}.{i}" for i in range(len(denoiser.get_submodule(level))))  # type: ignore[arg-type]
