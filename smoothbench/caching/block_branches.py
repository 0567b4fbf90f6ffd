"""The residual branches of one block, and the modules that feed one alone."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from smoothbench.caching.branch_names import BETWEEN, DECLARED, FED, KINDS, NORMS, NORMS_KNOWN, SERVE_BOTH


@dataclass(frozen=True)
class Branch:
    """One residual branch of a block: its kind, the path of its module, and what feeds this branch alone.

    `norm` is the path of a norm, `feeders` are those of further modules, in order of execution; `calls` is how often
    its module runs in a forward.
    """

    kind: str
    path: str
    norm: str | None = None
    feeders: tuple[str, ...] = ()
    calls: int = 1


def branches(path: str, block: nn.Module) -> tuple[Branch, ...]:
    """Find the branches of the block at a path, in order of execution; none where it has no modules for them.

    Raises ValueError for a block that computes its feed-forward in chunks.
    """
    if getattr(block, "_chunk_size", None) is not None:
        raise ValueError(f"{path} computes its feed-forward in chunks: disable_forward_chunking() first")
    inner = block._modules.get("block")  # HiDream wraps its blocks
    if inner is not None and len(block._modules) == 1:
        path, block = f"{path}.block", inner
    fed = _fed(path, block)
    inside = {feeder for branch in fed for feeder in branch.feeders}
    plain = [
        Branch(kind, f"{path}.{name}", _norm(path, block, kind), calls=_calls(block, kind))
        for name, kind in _kinds(block).items()
        if f"{path}.{name}" not in inside
    ]
    return (*plain, *fed)


def has_branches(block: nn.Module) -> bool:
    """Whether a module has a branch of attention by one of the names that blocks use."""
    inner = block._modules.get("block") if len(block._modules) == 1 else None
    kinds = _kinds(inner if inner is not None else block)
    return any("attn" in kind for kind in kinds.values())


def is_whole_block(module: nn.Module) -> bool:
    """Whether a module is a block with both attention and feed-forward, wherever in the denoiser it stands."""
    # not getattr, because a failed look-up in a module is slow, and every cached(...) tests all modules
    modules = module._modules
    if modules.get("ff") is not None:
        return modules.get("attn1") is not None or modules.get("attn2") is not None
    return type(module).__name__ in ("Kandinsky3AttentionBlock", "SDCascadeAttnBlock")


def _kinds(block: nn.Module) -> dict[str, str]:
    """The kinds of a block's branches, by the path of their module inside the block."""
    declared = DECLARED.get(type(block).__name__)
    if declared is not None:
        return {name: kind for name, kind in declared.items() if _has(block, name)}
    present = {name: kind for name, kind in KINDS.items() if block._modules.get(name) is not None}
    if type(block).__name__ == "Kandinsky3AttentionBlock" and _reads_another_stream(block.attention):
        present["attention"] = "cross_attn"
    return present


def _fed(path: str, block: nn.Module) -> tuple[Branch, ...]:
    """The branches of a block whose last layer is a module by itself, and what feeds it."""
    for last, feeders in FED.items():
        if all(block._modules.get(name) is not None for name in (last, *feeders)):
            present = [name for name in (*feeders, *BETWEEN) if block._modules.get(name) is not None]
            kind = "attn_ff" if "attn" in feeders else "ff"
            norm = f"{path}.norm" if "attn" in feeders else None
            return (Branch(kind, f"{path}.{last}", norm, tuple(f"{path}.{name}" for name in present)),)
    return ()


def _has(block: nn.Module, path: str) -> bool:
    try:
        block.get_submodule(path)
    except AttributeError:
        return False
    return True


def _calls(block: nn.Module, kind: str) -> int:
    """How often the module of a branch runs in a forward: one feed-forward may take picture, then text."""
    serves_both = type(block).__name__ in SERVE_BOTH or vars(block).get("txt_ff", 0) is None
    return 2 if kind == "ff" and serves_both else 1


def _reads_another_stream(attention: Any) -> bool:
    return bool(attention.to_k.in_features != attention.to_q.in_features)


def _norm(path: str, block: nn.Module, kind: str) -> str | None:
    norm: str | None = NORMS.get(kind)
    # PixArt's blocks feed the feed-forward from norm2 and the cross-attention from the bare stream.
    if getattr(block, "norm_type", None) == "ada_norm_single":
        norm = {"self_attn": "norm1", "ff": "norm2"}.get(kind)
    if norm is None or type(block).__name__ not in NORMS_KNOWN or block._modules.get(norm) is None:
        return None
    return f"{path}.{norm}"
