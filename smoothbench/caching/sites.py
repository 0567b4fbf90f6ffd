"""Sites: the places of a denoiser whose outputs can be reused, at three levels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from smoothbench.caching.block_runs import check_span, default_spans, span_blocks
from smoothbench.caching.blocks import Block, branch_blocks
from smoothbench.caching.unsupported import refuse

BRANCH, SPAN, DENOISER = "branch", "span", "denoiser"
LEVELS = (DENOISER, SPAN, BRANCH)  # the outer first


@dataclass(frozen=True)
class Site:
    """A place in the denoiser whose output can be reused, at one of three levels.

    A `branch` is one residual branch of one block, before its gate, for example `blocks.7.self_attn`: `path` leads
    to its module, `norm` to the norm that feeds this branch alone (or is None), and `feeders` to further modules that
    do, which are left out with it; where its module runs several times in a forward (`calls`), the output is a tuple
    of all. A `span` is what a run of blocks adds
    to the stream (in a U-Net what they give), for example `blocks.0-27.span`: `blocks` are the paths of its blocks in
    order of execution, `path` that of the first. A `denoiser` site is the whole output. `macs` and `macs_linear` are
    the cost for one sample and one evaluation, with and without the attention products (0: not measured); the cost of
    sites inside a site is theirs, not the outer one's.
    """

    name: str
    kind: str
    path: str
    norm: str | None = None
    macs: int = 0
    macs_linear: int = 0
    level: str = BRANCH
    blocks: tuple[str, ...] = ()
    feeders: tuple[str, ...] = ()
    calls: int = 1

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

    Outer sites come first, and those of a level in the order of the denoiser's modules. Blocks and branches are
    known by the names that diffusers gives them (docs/models.md lists its classes); a denoiser may declare its
    branches by a method `cache_sites()`, and the paths of its blocks by `cache_blocks()`. `spans` are pairs of block
    numbers (first, last), counted over all blocks in order of execution; by default each run of blocks with the same
    streams is one span, and of a U-Net all but its outermost levels. Raises ValueError for another level, for a class
    that cannot be cached, and where the denoiser has no blocks, or none that a span can stand in for.
    """
    chosen = (levels,) if isinstance(levels, str) else tuple(levels)
    if not chosen or (wrong := [level for level in chosen if level not in LEVELS]):
        raise ValueError(
            f"the levels of sites are {', '.join(LEVELS)}, not {wrong[0] if chosen else 'none'!r}"
        )
    refuse(denoiser, BRANCH in chosen)
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


def _spans(denoiser: nn.Module, spans: Sequence[tuple[int, int]] | None) -> Iterator[Site]:
    blocks, name = span_blocks(denoiser), type(denoiser).__name__
    if not blocks:
        raise ValueError(_no_blocks(denoiser))
    pairs = default_spans(blocks) if spans is None else spans
    if not pairs or len(set(pairs)) < len(pairs):
        raise ValueError(f"spans are different pairs of block numbers, at least one, not {list(pairs)}")
    for first, last in pairs:
        check_span(blocks, first, last, name)
        paths = tuple(block.path for block in blocks[first : last + 1])
        yield Site(f"blocks.{first}-{last}.{SPAN}", SPAN, paths[0], level=SPAN, blocks=paths)


def _span_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal()):
        raise ValueError(f"a span is named by its blocks, as in blocks.0-27.{SPAN}, not {text!r}")
    return int(first), int(last)


def _branch_sites(denoiser: nn.Module) -> tuple[Site, ...]:
    declare: Any = getattr(denoiser, "cache_sites", None)
    if declare is not None:
        return tuple(declare())
    sites = tuple(site for block in branch_blocks(denoiser) for site in _sites_of_block(block))
    if not sites:
        raise ValueError(_no_blocks(denoiser))
    return sites


def _sites_of_block(block: Block) -> Iterator[Site]:
    dimension = block.name.split("blocks")[0]
    for branch in block.branches:
        name, kind = f"{block.name}.{branch.kind}", f"{dimension}{branch.kind}"
        yield Site(name, kind, branch.path, branch.norm, feeders=branch.feeders, calls=branch.calls)


def _no_blocks(denoiser: nn.Module) -> str:
    return (
        f"{type(denoiser).__name__} has no blocks with branches of known names (attn1, ff, ...): declare its sites "
        "in a method cache_sites()"
    )
