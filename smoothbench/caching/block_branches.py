"""The residual branches of one block: what its modules are called, and which norm feeds one alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import nn

# what the modules of branches are called in diffusers, in order of execution, and the kind of the branch
ATTENTION: Mapping[str, str] = MappingProxyType(
    {
        "attn1": "self_attn",
        "attn": "self_attn",
        "attention": "self_attn",
        "self_attn": "self_attn",
        "self_attention": "self_attn",
        "audio_attn1": "audio_self_attn",
        "attn2": "cross_attn",
        "cross_attn": "cross_attn",
        "cross_attention": "cross_attn",
        "audio_attn2": "audio_cross_attn",
        "audio_to_video_attn": "audio_to_video_attn",
        "video_to_audio_attn": "video_to_audio_attn",
    }
)
FEED_FORWARD: Mapping[str, str] = MappingProxyType(
    {
        "ff": "ff",
        "ffn": "ff",
        "mlp": "ff",
        "feed_forward": "ff",
        "img_mlp": "ff",
        "ff_i": "ff",
        "ff_context": "context_ff",
        "txt_mlp": "context_ff",
        "txt_ff": "context_ff",
        "ff_t": "context_ff",
        "audio_ff": "audio_ff",
    }
)
KINDS: Mapping[str, str] = MappingProxyType({**ATTENTION, **FEED_FORWARD})
# blocks of two streams that have one feed-forward, which runs on each; those of EasyAnimate say so
SERVE_BOTH = ("CogView4TransformerBlock", "GlmImageTransformerBlock")

_VIDEO_AND_AUDIO = {
    f"{stream}_dec_block.{attribute}": f"{prefix}{kind}"
    for attribute, kind in (("self_attention", "self_attn"), ("cross_attention", "cross_attn"))
    for stream, prefix in (("video", ""), ("audio", "audio_"))
}
# blocks whose branches have other names or meanings than their modules' names say
DECLARED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "JointTransformerBlock": {  # of SD3: the second attention is that of the picture to itself
            "attn": "self_attn",
            "attn2": "image_self_attn",
            "ff": "ff",
            "ff_context": "context_ff",
        },
        "Cosmos3VLTextMoTDecoderLayer": {  # the plain feed-forward is that of the text
            "self_attn": "self_attn",
            "mlp": "context_ff",
            "mlp_moe_gen": "ff",
        },
        "Kandinsky6FusedTransformerDecoderBlock": {
            **_VIDEO_AND_AUDIO,
            "va_cross_attention": "audio_to_video_attn",
            "av_cross_attention": "video_to_audio_attn",
            "video_dec_block.feed_forward": "ff",
            "audio_dec_block.feed_forward": "audio_ff",
        },
        "SanaWMLTX2RefinerTransformerBlock": {  # its modules of sound never run
            "attn1": "self_attn",
            "attn2": "cross_attn",
            "ff": "ff",
        },
        "Flux2SingleTransformerBlock": {"attn": "attn_ff"},  # attention and feed-forward are one module
        "DecoderLayer": {  # of T5-FiLM
            "layer.0.attention": "self_attn",
            "layer.1.attention": "cross_attn",
            "layer.2.DenseReluDense": "ff",
        },
        "SDCascadeAttnBlock": {"attention": "self_attn"},
        "RFD4ProteinaTrunkLayer": {"mhba.mha": "self_attn", "transition.transition": "ff"},
    }
)
# branches that are several modules: the last of them, and those that feed it alone
FED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "proj_out": (
            "attn",
            "proj_mlp",
        ),  # parallel attention and feed-forward of FLUX's single-stream blocks
        "down_proj": ("gate_proj", "up_proj"),
        "ff_out": ("ff_in",),
    }
)
BETWEEN = ("cross_attn",)  # of Motif-Video: it adds to the attention before the last layer
# the norm whose output a branch alone reads, in blocks where that is certain; in others (LTX, Allegro) the
# feed-forward reads norm2
NORMS: Mapping[str, str] = MappingProxyType({"self_attn": "norm1", "cross_attn": "norm2", "ff": "norm3"})
NORMS_KNOWN = ("BasicTransformerBlock", "StableAudioDiTBlock")


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
