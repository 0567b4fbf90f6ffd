"""The parts of diffusers' SanaTransformer2DModel (Xie et al. 2024, arXiv 2410.10629)."""

from collections.abc import Sequence

from torch import Tensor

from smoothbench.caching.fast.adaln_single import CAPTION_MASK, CAPTIONS, AdaLNSingle, AdaLNSingleParts
from smoothbench.caching.fast.images import Patches
from smoothbench.caching.fast.parts import Inputs, Parts


class Sana(AdaLNSingle):
    """SanaTransformer2DModel without guidance embedding: linear attention, cross-attention and convolutions."""

    patches = "patch_embed"
    conditions = (CAPTIONS, CAPTION_MASK)
    arguments = (
        "hidden_states",
        "encoder_hidden_states",
        "timestep",
        "guidance",
        "encoder_attention_mask",
        "attention_mask",
        "attention_kwargs",
        "controlnet_block_samples",
        "return_dict",
    )
    used = frozenset({"hidden_states", "timestep", "return_dict", *conditions})
    kinds = frozenset(
        {
            "SanaTransformer2DModel",
            "PatchEmbed",
            "Conv2d",
            "ModuleList",
            "SanaTransformerBlock",
            "SanaModulatedNorm",
            "LayerNorm",
            "RMSNorm",
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
        """Return whether all blocks have cross-attention, and the patch embedding is a plain one."""
        return Patches.know(self.embedding) and all(block.attn2 is not None for block in self.blocks)

    def begin(self, inputs: Inputs, coordinates: Sequence[float]) -> Parts:
        """Project and normalise the captions."""
        return _SanaParts(self, inputs, coordinates)


class _SanaParts(AdaLNSingleParts):
    def __init__(self, architecture: Sana, inputs: Inputs, coordinates: Sequence[float]) -> None:
        self._dtype, size = inputs["hidden_states"].dtype, architecture.embedding.patch_size
        height, width = (side // size for side in inputs["hidden_states"].shape[2:])
        super().__init__(
            architecture, inputs, coordinates, architecture.denoiser.norm_out.norm, (height, width)
        )

    def projected(self, captions: Tensor) -> Tensor:
        """Project and normalise captions."""
        projected = self._denoiser.caption_projection(captions)
        normal: Tensor = self._denoiser.caption_norm(projected.view(len(projected), -1, projected.shape[-1]))
        return normal

    def time_embeddings(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Embed timesteps."""
        embed, count = self._denoiser.time_embed, len(timesteps)
        of_blocks, of_head = embed(timesteps, batch_size=count, hidden_dtype=self._dtype)
        return of_blocks, of_head

    def entering(self, i: int, stream: Tensor) -> Tensor:
        """Normalise and modulate the stream; as a picture, [B, width, high, wide], for convolutions."""
        entering = super().entering(i, stream)
        return entering.unflatten(1, self._grid).permute(0, 3, 1, 2) if i % 3 == 2 else entering

    def compute(self, i: int, entering: Tensor) -> Tensor:
        """Run self-attention, cross-attention to the captions, or convolutions."""
        output = super().compute(i, entering)
        if i % 3 < 2:
            return output
        return output.flatten(2, 3).transpose(1, 2).contiguous()  # as it will be added again and again
