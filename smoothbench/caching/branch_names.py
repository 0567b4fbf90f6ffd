"""What the branches of diffusers' blocks are called, and what cannot be read off their names."""

from collections.abc import Mapping
from types import MappingProxyType

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
        "proj_out": ("attn", "proj_mlp"),  # of FLUX's single-stream blocks: both branches in one
        "down_proj": ("gate_proj", "up_proj"),
        "ff_out": ("ff_in",),
    }
)
BETWEEN = ("cross_attn",)  # of Motif-Video: it adds to the attention before the last layer
# the norm whose output a branch alone reads, in blocks where that is certain; in others (LTX, Allegro) the
# feed-forward reads norm2
NORMS: Mapping[str, str] = MappingProxyType({"self_attn": "norm1", "cross_attn": "norm2", "ff": "norm3"})
NORMS_KNOWN = ("BasicTransformerBlock", "StableAudioDiTBlock")
