"""The parts of diffusers' SanaTransformer2DModel (Xie et al. 2024, arXiv 2410.10629)."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from smoothbench.caching.fast.captions import attention_bias
from smoothbench.caching.fast.images import Patches, from_patches, output_of
from smoothbench.caching.fast.modulation import SharedModulation, modulated
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts, row_tensors
from smoothbench.caching.fast.timesteps import distinct_rows

CONDITIONS = ("encoder_hidden_states", "encoder_attention_mask")


class Sana(Architecture):
    """SanaTransformer2DModel without guidance embedding: linear attention, cross-attention and convolutions."""

    attributes = ("attn1", "attn2", "ff")
    gates = (True, False, True)
    without_norm = (1,)  # cross-attention
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
    used = frozenset({"hidden_states", "timestep", "return_dict", *CONDITIONS})
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

    def named_blocks(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the path of every block and the block."""
        return ((f"transformer_blocks.{n}", b) for n, b in enumerate(self.denoiser.transformer_blocks))

    def fits(self) -> bool:
        """Return whether all blocks have cross-attention, and the patch embedding is a plain one."""
        embedding = self.denoiser.patch_embed
        return Patches.know(embedding) and all(block.attn2 is not None for block in self.blocks)

    def takes(self, inputs: Inputs) -> bool:
        """Return whether there are pictures, and a timestep and a caption for each."""
        rows = row_tensors(inputs, "hidden_states", "timestep", CONDITIONS[0])
        return rows is not None and rows[1].ndim == 1 and Patches.take(self.denoiser.patch_embed, rows[0])

    def begin(self, inputs: Inputs, coordinates: Sequence[float]) -> Parts:
        """Project and normalise the captions."""
        return _SanaParts(self, inputs)


class _SanaParts(Parts):
    def __init__(self, architecture: Sana, inputs: Inputs) -> None:
        super().__init__(architecture, inputs, CONDITIONS)
        denoiser = self._denoiser = architecture.denoiser
        self._embed = Patches(denoiser.patch_embed)
        height, width = (side // self._embed.size for side in inputs["hidden_states"].shape[2:])
        self._grid = (height, width)
        self._modulation = SharedModulation(
            [block.scale_shift_table for block in architecture.blocks], denoiser.scale_shift_table
        )
        self._norms = [(block.norm1, block.norm2) for block in architecture.blocks]
        projected = denoiser.caption_projection(inputs["encoder_hidden_states"])
        captions = denoiser.caption_norm(projected.view(len(projected), -1, projected.shape[-1]))
        mask = attention_bias(inputs.get("encoder_attention_mask"), inputs["hidden_states"].dtype)
        self._captions = {"encoder_hidden_states": captions, "attention_mask": mask}
        self.read_text_once(range(1, len(self.forwards), 3), captions)

    def embed(self, e: int, announced: float | None, inputs: Inputs) -> Tensor:
        """Embed the patches, and modulate by the time."""
        timestep, pictures = distinct_rows(inputs["timestep"]), inputs["hidden_states"]
        rows, dtype = len(timestep), pictures.dtype
        self._modulation.at(*self._denoiser.time_embed(timestep, batch_size=rows, hidden_dtype=dtype))
        self.gates = self._modulation.gates()
        return self._embed(pictures)

    def entering(self, i: int, stream: Tensor) -> Tensor:
        """Normalise and modulate the stream, as a picture for convolutions; cross-attention gets it as it is."""
        block, kind = divmod(i, 3)
        if kind == 1:
            return stream
        norm = self._norms[block][kind // 2]
        normal = modulated(stream, norm, *self._modulation.of_branch(block, kind == 2))
        return normal if kind == 0 else normal.unflatten(1, self._grid).permute(0, 3, 1, 2)

    def compute(self, i: int, entering: Tensor) -> Tensor:
        """Run self-attention, cross-attention to the captions, or convolutions."""
        kind = i % 3
        output: Tensor = self.forwards[i](entering, **(self._captions if kind == 1 else {}))
        if kind < 2:
            return output
        return output.flatten(2, 3).transpose(1, 2).contiguous()  # as it will be added again and again

    def head(self, stream: Tensor, inputs: Inputs) -> Any:
        """Modulate the stream by the time, project it, and put the patches together."""
        denoiser = self._denoiser
        tokens = denoiser.proj_out(modulated(stream, denoiser.norm_out.norm, *self._modulation.head))
        sample = from_patches(tokens, self._embed.size, *self._grid)
        return output_of(denoiser, sample, inputs.get("return_dict", True))
