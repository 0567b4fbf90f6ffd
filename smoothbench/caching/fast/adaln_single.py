"""What transformers on pictures under adaLN-single share: PixArt-alpha (Chen et al. 2023, arXiv 2310.00426), Sana."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from smoothbench.caching.fast.captions import attention_bias
from smoothbench.caching.fast.images import Patches, from_patches, output_of
from smoothbench.caching.fast.modulation import SharedModulation, modulated
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts, row_tensors
from smoothbench.caching.fast.timesteps import TimeEmbeddings

CAPTIONS = "encoder_hidden_states"
CAPTION_MASK = "encoder_attention_mask"


class AdaLNSingle(Architecture):
    """A denoiser whose blocks are self-attention, cross-attention to captions, and a feed-forward, all of patches.

    `patches` is the name of its patch embedding, `conditions` are the inputs that may not change within a run.
    """

    attributes = ("attn1", "attn2", "ff")
    gates = (True, False, True)
    without_norm = (1,)  # cross-attention
    patches: str
    conditions: tuple[str, ...]

    @property
    def embedding(self) -> Any:
        """The module that embeds patches of pictures."""
        return getattr(self.denoiser, self.patches)

    def named_blocks(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the path of every block and the block."""
        return ((f"transformer_blocks.{n}", b) for n, b in enumerate(self.denoiser.transformer_blocks))

    def takes(self, inputs: Inputs) -> bool:
        """Return whether there are pictures of a size that fits, and a timestep and a caption for each."""
        rows = row_tensors(inputs, "hidden_states", "timestep", CAPTIONS)
        return rows is not None and rows[1].ndim == 1 and Patches.take(self.embedding, rows[0])


class AdaLNSingleParts(Parts):
    """The parts of such a denoiser; `head_norm` stands before its last projection, `grid` is patches, high and wide."""

    def __init__(
        self,
        architecture: AdaLNSingle,
        inputs: Inputs,
        coordinates: Sequence[float],
        head_norm: nn.LayerNorm,
        grid: tuple[int, int],
    ) -> None:
        super().__init__(architecture, inputs, architecture.conditions)
        denoiser = self._denoiser = architecture.denoiser
        self._embed, self._head_norm, self._grid = Patches(architecture.embedding), head_norm, grid
        self._modulation = SharedModulation(
            [block.scale_shift_table for block in architecture.blocks], denoiser.scale_shift_table
        )
        self._norms = [(block.norm1, block.norm2) for block in architecture.blocks]
        self._times = TimeEmbeddings(self.time_embeddings, coordinates, inputs["timestep"])
        captions = self.projected(inputs[CAPTIONS])
        mask = attention_bias(inputs.get(CAPTION_MASK), inputs["hidden_states"].dtype)
        self._captions = {CAPTIONS: captions, "attention_mask": mask}
        self.read_text_once(range(1, len(self.forwards), 3), captions)

    @abstractmethod
    def projected(self, captions: Tensor) -> Tensor:
        """Return captions as cross-attention reads them."""

    @abstractmethod
    def time_embeddings(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the modulations of all blocks by timesteps [K], [K, 6 * width], and the timesteps' own embeddings."""

    def times(self, inputs: Inputs) -> Sequence[Tensor]:
        """Return what a forward's timestep gives, as `time_embeddings`."""
        return self._times(inputs["timestep"])

    def embed(self, e: int, announced: float | None, inputs: Inputs) -> Tensor:
        """Embed the patches, and modulate by the time."""
        self._modulation.at(*self.times(inputs))
        self.gates = self._modulation.gates()
        return self._embed(inputs["hidden_states"])

    def entering(self, i: int, stream: Tensor) -> Tensor:
        """Normalise and modulate the stream; cross-attention gets it as it is."""
        block, kind = divmod(i, 3)
        if kind == 1:
            return stream
        return modulated(stream, self._norms[block][kind // 2], *self._modulation.of_branch(block, kind == 2))

    def compute(self, i: int, entering: Tensor) -> Tensor:
        """Run self-attention, cross-attention to the captions, or the feed-forward."""
        output: Tensor = self.forwards[i](entering, **(self._captions if i % 3 == 1 else {}))
        return output

    def head(self, stream: Tensor, inputs: Inputs) -> Any:
        """Modulate the stream by the time, project it, and put the patches together."""
        tokens = self._denoiser.proj_out(modulated(stream, self._head_norm, *self._modulation.head))
        sample = from_patches(tokens, self._embed.size, *self._grid)
        return output_of(self._denoiser, sample, inputs.get("return_dict", True))
