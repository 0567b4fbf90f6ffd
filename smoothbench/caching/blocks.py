"""The blocks of a denoiser that have branches: found by structure, and declared where structure does not tell."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import nn

from smoothbench.caching.block_branches import Branch, branches, has_branches, is_whole_block

# lists of blocks beside the main stream, which cost little: texts and refiners
BESIDE = ("refiner", "text", "txt")
CONTROL = "vace"  # blocks of a control each give the main blocks something: no span stands in for several
# what layers over time are called
TEMPORAL = ("temporal", "temp_attentions", "motion_modules", "transformer_in")
# lists of blocks that cannot be found as a denoiser's own lists
LISTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"Flux3Transformer2DModel": ("mode_blocks.image", "single_transformer_blocks")}
)
# blocks that could take two streams apart, but are given one that is joined of both
JOINED = ("Flux2SingleTransformerBlock",)


@dataclass(frozen=True)
class Block:
    """One block of a denoiser, for example `blocks.3`, `temporal_blocks.3` or `single_blocks.3`.

    `path` leads to its module, and `stack` names the blocks that hand the same streams on. `reader` is the number of
    a later block that also reads what this one gives, by a skip past those in between (None: there is none).
    """

    name: str
    path: str
    stack: str
    branches: tuple[Branch, ...] = ()
    reader: int | None = None


def branch_blocks(denoiser: nn.Module) -> tuple[Block, ...]:
    """Find the blocks of a denoiser that have branches, in the order of its modules."""
    modules = [] if is_unet(denoiser) else list(_in_lists(denoiser))
    modules = modules or [("", path, block) for path, block in _anywhere(denoiser, "")]
    over_time = any(_is_temporal(path) for _, path, _ in modules)
    counts: dict[str, int] = {}
    blocks = []
    for stack, path, block in modules:
        prefix = _prefix(path, over_time)
        number = counts.get(prefix, 0)
        counts[prefix] = number + 1
        blocks.append(Block(f"{prefix}blocks.{number}", path, stack, branches(path, block)))
    return tuple(blocks)


def is_unet(denoiser: nn.Module) -> bool:
    """Whether a denoiser goes down through levels and up again, with skips between them."""
    levels = denoiser._modules.get("down_blocks"), denoiser._modules.get("up_blocks")
    return all(_is_list_of_blocks(level) for level in levels)


def _is_list_of_blocks(level: nn.Module | None) -> bool:
    if not isinstance(level, nn.ModuleList):
        return False
    return len(level) > 0 and not any(isinstance(block, nn.ModuleList) for block in level)


def _in_lists(denoiser: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    """Yield the stack, the path and the module of each block in the lists of a denoiser, in the lists' order."""
    stack, earlier = "", None
    for name in LISTS.get(type(denoiser).__name__) or _list_names(denoiser):
        listed: Any = denoiser.get_submodule(name)
        _, first = _original(name, listed[0])
        if earlier is None or not _same_streams(earlier, first, name):
            stack = name
        earlier = first
        decoder = len(listed) - _decoder_blocks(denoiser, name)
        for i, block in enumerate(listed):
            yield stack if i < decoder else f"{name} of the decoder", *_original(f"{name}.{i}", block)


def _decoder_blocks(denoiser: nn.Module, name: str) -> int:
    """The number of the last blocks in a list that start again from the first one's input (Motif-Video)."""
    return int(getattr(denoiser, "num_decoder_layers", 0)) if "single" in name else 0


def _list_names(denoiser: nn.Module) -> list[str]:
    return [
        name
        for name, child in denoiser.named_children()
        if isinstance(child, nn.ModuleList)
        and len(child)
        and not any(word in name for word in BESIDE)
        and has_branches(_original(name, child[0])[1])
    ]


def _original(path: str, block: nn.Module) -> tuple[str, nn.Module]:
    """The path and the module of a block itself, which torch.compile(block) may have wrapped."""
    inner = block._modules.get("_orig_mod")
    return (path, block) if inner is None else (f"{path}._orig_mod", inner)


def _same_streams(earlier: nn.Module, later: nn.Module, name: str) -> bool:
    """Whether blocks of a single stream still take both streams apart, as those before them do."""
    if "single" not in name or type(later).__name__ in JOINED:
        return False
    signatures = [inspect.signature(block.forward).parameters for block in (earlier, later)]
    texts = [parameters.get("encoder_hidden_states") for parameters in signatures]
    return all(text is not None and text.default is text.empty for text in texts)


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
    """What stands before `blocks` in a name: over space or over time, of a single stream or of a control."""
    if over_time:
        return "temporal_" if _is_temporal(path) else "spatial_"
    stack = path.split(".")[0]
    return "control_" if CONTROL in stack else "single_" if "single" in stack else ""
