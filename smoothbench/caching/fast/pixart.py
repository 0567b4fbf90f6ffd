"""The parts of diffusers' PixArtTransformer2DModel (Chen et al. 2023, arXiv 2310.00426)."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from smoothbench.caching.fast.captions import attention_bias
from smoothbench.caching.fast.images import Patches, from_patches, output_of
from smoothbench.caching.fast.modulation import SharedModulation, modulated
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts, row_tensors
from smoothbench.caching.fast.timesteps import distinct_rows

CONDITIONS = ("encoder_hidden_states", "added_cond_kwargs", "encoder_attention_mask")


class PixArt(Architecture):
    """PixArtTransformer2DModel: blocks of self-attention, cross-attention and feed-forward, under adaLN-single."""

    attributes = ("attn1", "attn2", "ff")
    gates = (True, False, True)
    without_norm = (1,)  # cross-attention
    arguments = (
        "hidden_states",
        "encoder_hidden_states",
        "timestep",
        "added_cond_kwargs",
        "cross_attention_kwargs",
        "attention_mask",
        "encoder_attention_mask",
        "return_dict",
    )
    used = frozenset({"hidden_states", "timestep", "return_dict", *CONDITIONS})
    kinds = frozenset(
        {
            "PixArtTransformer2DModel",
            "PatchEmbed",
            "Conv2d",
            "ModuleList",
            "BasicTransformerBlock",
            "LayerNorm",
            "Linear",
            "AdaLayerNormSingle",
            "PixArtAlphaCombinedTimestepSizeEmbeddings",
            "Timesteps",
            "TimestepEmbedding",
            "PixArtAlphaTextProjection",
            "SiLU",
            "GELU",
        }
    )

    def named_blocks(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the path of every block and the block."""
        return ((f"transformer_blocks.{n}", b) for n, b in enumerate(self.denoiser.transformer_blocks))

    def fits(self) -> bool:
        """Return whether all blocks are blocks of three branches under adaLN-single, and the embedding a plain one."""
        return Patches.know(self.denoiser.pos_embed) and all(map(_is_adaln_single, self.blocks))

    def takes(self, inputs: Inputs) -> bool:
        """Return whether there are pictures of the model's own size, and a timestep and a caption for each."""
        rows = row_tensors(inputs, "hidden_states", "timestep", CONDITIONS[0])
        return rows is not None and rows[1].ndim == 1 and Patches.take(self.denoiser.pos_embed, rows[0])

    def begin(self, inputs: Inputs, coordinates: Sequence[float]) -> Parts:
        """Project the captions."""
        return _PixArtParts(self, inputs)


class _PixArtParts(Parts):
    def __init__(self, architecture: PixArt, inputs: Inputs) -> None:
        super().__init__(architecture, inputs, CONDITIONS)
        denoiser = self._denoiser = architecture.denoiser
        self._embed, embedding = Patches(denoiser.pos_embed), denoiser.pos_embed
        self._grid = (embedding.height, embedding.width)
        self._modulation = SharedModulation(
            [block.scale_shift_table for block in architecture.blocks], denoiser.scale_shift_table
        )
        self._norms = [(block.norm1, block.norm2) for block in architecture.blocks]
        captions = inputs["encoder_hidden_states"]
        if denoiser.caption_projection is not None:
            captions = denoiser.caption_projection(captions).view(len(captions), -1, denoiser.inner_dim)
        mask = attention_bias(inputs.get("encoder_attention_mask"), inputs["hidden_states"].dtype)
        self._captions = {"encoder_hidden_states": captions, "attention_mask": mask}
        self.read_text_once(range(1, len(self.forwards), 3), captions)

    def embed(self, e: int, announced: float | None, inputs: Inputs) -> Tensor:
        """Embed the patches, and modulate by the time."""
        denoiser, timestep, pictures = self._denoiser, inputs["timestep"], inputs["hidden_states"]
        if not denoiser.use_additional_conditions:
            timestep = distinct_rows(timestep)
        self._modulation.at(
            *denoiser.adaln_single(
                timestep,
                inputs.get("added_cond_kwargs"),
                batch_size=len(timestep),
                hidden_dtype=pictures.dtype,
            )
        )
        self.gates = self._modulation.gates()
        return self._embed(pictures)

    def entering(self, i: int, stream: Tensor) -> Tensor:
        """Normalise and modulate the stream; cross-attention gets it as it is."""
        block, kind = divmod(i, 3)
        if kind == 1:
            return stream
        return modulated(stream, self._norms[block][kind // 2], *self._modulation.of_branch(block, kind == 2))

    def compute(self, i: int, entering: Tensor) -> Tensor:
        """Run self-attention, cross-attention to the captions, or feed-forward."""
        output: Tensor = self.forwards[i](entering, **(self._captions if i % 3 == 1 else {}))
        return output

    def head(self, stream: Tensor, inputs: Inputs) -> Any:
        """Modulate the stream by the time, project it, and put the patches together."""
        denoiser = self._denoiser
        tokens = denoiser.proj_out(modulated(stream, denoiser.norm_out, *self._modulation.head))
        sample = from_patches(tokens, self._embed.size, *self._grid)
        return output_of(denoiser, sample, inputs.get("return_dict", True))


def _is_adaln_single(block: Any) -> bool:
    no_extras = block.pos_embed is None and not hasattr(block, "fuser") and block._chunk_size is None
    three = block.attn2 is not None and not block.only_cross_attention
    return block.norm_type == "ada_norm_single" and no_extras and three
