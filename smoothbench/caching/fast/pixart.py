"""The parts of diffusers' PixArtTransformer2DModel (Chen et al. 2023, arXiv 2310.00426)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from smoothbench.caching.fast.adaln_single import CAPTION_MASK, CAPTIONS, AdaLNSingle, AdaLNSingleParts
from smoothbench.caching.fast.images import Patches
from smoothbench.caching.fast.parts import Inputs, Parts


class PixArt(AdaLNSingle):
    """PixArtTransformer2DModel: blocks of self-attention, cross-attention and feed-forward, under adaLN-single."""

    patches = "pos_embed"
    conditions = (CAPTIONS, "added_cond_kwargs", CAPTION_MASK)
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
    used = frozenset({"hidden_states", "timestep", "return_dict", *conditions})
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

    def fits(self) -> bool:
        """Return whether all blocks are blocks of three branches under adaLN-single, and the embedding a plain one."""
        return Patches.know(self.embedding) and all(map(_is_adaln_single, self.blocks))

    def begin(self, inputs: Inputs, coordinates: Sequence[float]) -> Parts:
        """Project the captions."""
        return _PixArtParts(self, inputs, coordinates)


class _PixArtParts(AdaLNSingleParts):
    def __init__(self, architecture: PixArt, inputs: Inputs, coordinates: Sequence[float]) -> None:
        denoiser, embedding = architecture.denoiser, architecture.embedding
        self._dtype, self._by_row = inputs["hidden_states"].dtype, denoiser.use_additional_conditions
        grid = (embedding.height, embedding.width)
        ahead = () if self._by_row else coordinates
        super().__init__(architecture, inputs, ahead, denoiser.norm_out, grid)

    def projected(self, captions: Tensor) -> Tensor:
        """Project captions where the denoiser does."""
        if self._denoiser.caption_projection is None:
            return captions
        projected: Tensor = self._denoiser.caption_projection(captions)
        return projected.view(len(captions), -1, self._denoiser.inner_dim)

    def time_embeddings(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Embed timesteps, as for pictures of no stated size."""
        return self._embedded(timesteps, None)

    def times(self, inputs: Inputs) -> Sequence[Tensor]:
        """Embed the timestep; where the denoiser is told sizes of pictures, each row by itself."""
        if self._by_row:
            return self._embedded(inputs["timestep"], inputs.get("added_cond_kwargs"))
        return super().times(inputs)

    def _embedded(self, timesteps: Tensor, sizes: Any) -> tuple[Tensor, Tensor]:
        embed, count = self._denoiser.adaln_single, len(timesteps)
        of_blocks, of_head = embed(timesteps, sizes, batch_size=count, hidden_dtype=self._dtype)
        return of_blocks, of_head


def _is_adaln_single(block: Any) -> bool:
    no_extras = block.pos_embed is None and not hasattr(block, "fuser") and block._chunk_size is None
    three = block.attn2 is not None and not block.only_cross_attention
    return block.norm_type == "ada_norm_single" and no_extras and three
