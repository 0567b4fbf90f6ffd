"""Sites: the places of a denoiser whose outputs can be reused, at three levels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

# the attribute of a branch in diffusers' blocks, its kind, and the norm whose output it alone reads
BRANCHES = (("attn1", "self_attn", "norm1"), ("attn2", "cross_attn", "norm2"), ("ff", "ff", "norm3"))
# blocks in which only these branches read these norms; in others (LTX, Allegro) the feed-forward reads norm2
NORMS_KNOWN = ("BasicTransformerBlock", "StableAudioDiTBlock")


BRANCH, SPAN, DENOISER = "branch", "span", "denoiser"
LEVELS = (DENOISER, SPAN, BRANCH)  # the outer first


@dataclass(frozen=True)
class Site:
    """A place in the denoiser whose output can be reused, at one of three levels.

    A `branch` is one residual branch of one block, before its gate, for example `blocks.7.self_attn`: `path` leads
    to its module, `norm` to the norm that feeds this branch alone (or is None). A `span` is what a run of blocks adds
    to the stream, for example `blocks.0-27.span`: `blocks` are the paths of its blocks in order of execution, `path`
    that of the first. A `denoiser` site is the whole output. `macs` and `macs_linear` are the cost for one sample and
    one evaluation, with and without the attention products (0: not measured); the cost of sites inside a site is
    theirs, not the outer one's.
    """

    name: str
    kind: str
    path: str
    norm: str | None = None
    macs: int = 0
    macs_linear: int = 0
    level: str = BRANCH
    blocks: tuple[str, ...] = ()

    @property
    def block(self) -> int:
        """The number of a branch's block, counted within its kind."""
        return int(self.block_label)

    @property
    def block_label(self) -> str:
        """The number of a branch's block, the first and last of a span's (`0-27`), nothing for the denoiser."""
        return "" if self.level == DENOISER else self.name.split(".")[-2]


def find_sites(
    denoiser: nn.Module,
    levels: str | Sequence[str] = BRANCH,
    spans: Sequence[tuple[int, int]] | None = None,
) -> tuple[Site, ...]:
    """Find the sites of a diffusers-style denoiser at one or several levels, with costs not yet measured.

    Outer sites come first, and those of a level in order of execution. A denoiser may declare its branches by a
    method `cache_sites()`, and its blocks by `cache_blocks()`; otherwise every submodule with the branches `attn1`
    and `ff` (and perhaps `attn2`) is a block. `spans` are pairs of block numbers (first, last), counted over all
    blocks in order of execution; by default the whole stack is one span. Raises ValueError for another level, and
    where the denoiser has no blocks or not these.
    """
    chosen = (levels,) if isinstance(levels, str) else tuple(levels)
    if not chosen or (wrong := [level for level in chosen if level not in LEVELS]):
        raise ValueError(
            f"the levels of sites are {', '.join(LEVELS)}, not {wrong[0] if chosen else 'none'!r}"
        )
    finders = {
        DENOISER: lambda: (Site(DENOISER, DENOISER, "", level=DENOISER),),
        SPAN: lambda: tuple(_spans(denoiser, spans)),
        BRANCH: lambda: _branch_sites(denoiser),
    }
    return tuple(site for level in LEVELS if level in chosen for site in finders[level]())


def sites_named(denoiser: nn.Module, names: Sequence[str]) -> tuple[Site, ...]:
    """Find the sites that a schedule names: its spans, and all branches where it names one."""
    ranges = [name.split(".")[-2] for name in names if name.endswith(f".{SPAN}")]
    levels = [DENOISER] if DENOISER in names else []
    levels += [SPAN] if ranges else []
    levels += [BRANCH] if len(levels) + max(len(ranges) - 1, 0) < len(names) else []
    return find_sites(denoiser, levels, [_span_range(text) for text in ranges])


def block_paths(denoiser: nn.Module) -> tuple[str, ...]:
    """The paths of a denoiser's blocks, in order of execution; ValueError where it has none."""
    declare: Any = getattr(denoiser, "cache_blocks", None)
    paths = (
        tuple(declare()) if declare is not None else tuple(path for _, path, _ in _numbered_blocks(denoiser))
    )
    if not paths:
        raise ValueError(_no_blocks(denoiser))
    return paths


def _spans(denoiser: nn.Module, spans: Sequence[tuple[int, int]] | None) -> Iterator[Site]:
    paths = block_paths(denoiser)
    for first, last in [(0, len(paths) - 1)] if spans is None else spans:
        if not 0 <= first <= last < len(paths):
            raise ValueError(
                f"no span of blocks {first} to {last} in {type(denoiser).__name__}: it has blocks 0 to {len(paths) - 1}"
            )
        blocks = paths[first : last + 1]
        yield Site(f"blocks.{first}-{last}.{SPAN}", SPAN, blocks[0], level=SPAN, blocks=blocks)


def _span_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal()):
        raise ValueError(f"a span is named by its blocks, as in blocks.0-27.{SPAN}, not {text!r}")
    return int(first), int(last)


def _branch_sites(denoiser: nn.Module) -> tuple[Site, ...]:
    declare: Any = getattr(denoiser, "cache_sites", None)
    if declare is not None:
        return tuple(declare())
    blocks = list(_numbered_blocks(denoiser))
    if not blocks:
        raise ValueError(_no_blocks(denoiser))
    return tuple(site for prefix, path, block in blocks for site in _branches(prefix, path, block))


def _no_blocks(denoiser: nn.Module) -> str:
    return (
        f"{type(denoiser).__name__} has no blocks with the branches attn1 and ff: "
        "declare its sites in a method cache_sites()"
    )


def _numbered_blocks(denoiser: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    """Yield each block with its name (`temporal_blocks.3`) and its path."""
    blocks = list(_blocks(denoiser, ""))
    video = any("temporal" in path for path, _ in blocks)
    counts: dict[str, int] = {}
    for path, block in blocks:
        dimension = ("temporal_" if "temporal" in path else "spatial_") if video else ""
        number = counts.get(dimension, 0)
        counts[dimension] = number + 1
        yield f"{dimension}blocks.{number}", path, block


def _blocks(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield the blocks below a module, in order; the inside of a block is not searched."""
    for name, child in module.named_children():
        here = f"{path}.{name}" if path else name
        if _is_block(child):
            yield here, child
        else:
            yield from _blocks(child, here)


def _is_block(module: nn.Module) -> bool:
    # not getattr, because a failed look-up in a module is slow, and every cached(...) tests all modules
    return module._modules.get("attn1") is not None and module._modules.get("ff") is not None


def _branches(name: str, path: str, block: nn.Module) -> Iterator[Site]:
    if getattr(block, "_chunk_size", None) is not None:
        raise ValueError(f"{path} computes its feed-forward in chunks: disable_forward_chunking() first")
    dimension = name.split("blocks")[0]
    for attribute, kind, norm in BRANCHES:
        if not isinstance(getattr(block, attribute, None), nn.Module):
            continue
        # PixArt's blocks feed the feed-forward from norm2 and the cross-attention from the bare stream.
        if getattr(block, "norm_type", None) == "ada_norm_single":
            norm = {"self_attn": "norm1", "cross_attn": "", "ff": "norm2"}[kind]
        fed = type(block).__name__ in NORMS_KNOWN and isinstance(getattr(block, norm, None), nn.Module)
        yield Site(
            name=f"{name}.{kind}",
            kind=f"{dimension}{kind}",
            path=f"{path}.{attribute}",
            norm=f"{path}.{norm}" if fed else None,
        )
