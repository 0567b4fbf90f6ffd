"""Sites: the residual branches of a diffusion transformer whose outputs can be reused."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

# the attribute of a branch in diffusers' blocks, its kind, and the norm whose output it alone reads
BRANCHES = (("attn1", "self_attn", "norm1"), ("attn2", "cross_attn", "norm2"), ("ff", "ff", "norm3"))
# blocks in which only these branches read these norms; in others (LTX, Allegro) the feed-forward reads norm2
NORMS_KNOWN = ("BasicTransformerBlock", "StableAudioDiTBlock")


@dataclass(frozen=True)
class Site:
    """One residual branch of one block, for example `blocks.7.self_attn`.

    `path` leads to the branch's module and `norm` to the norm that feeds this branch alone (or is
    None); `macs` and `macs_linear` are its cost for one sample and one evaluation, with and without
    the attention products (0: not measured).
    """

    name: str
    kind: str
    path: str
    norm: str | None = None
    macs: int = 0
    macs_linear: int = 0

    @property
    def block(self) -> int:
        """The number of the block, counted within its kind."""
        return int(self.name.split(".")[-2])


def find_sites(denoiser: nn.Module) -> tuple[Site, ...]:
    """Find the sites of a diffusers-style transformer, in order of execution, with costs not yet measured.

    A denoiser may declare its sites by a method `cache_sites()`. Otherwise every submodule with the
    branches `attn1` and `ff` (and perhaps `attn2`) is a block. Raises ValueError where there is none.
    """
    declare: Any = getattr(denoiser, "cache_sites", None)
    if declare is not None:
        return tuple(declare())
    blocks = list(_numbered_blocks(denoiser))
    if not blocks:
        raise ValueError(
            f"{type(denoiser).__name__} has no blocks with the branches attn1 and ff: "
            "declare its sites in a method cache_sites()"
        )
    return tuple(site for prefix, path, block in blocks for site in _branches(prefix, path, block))


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
