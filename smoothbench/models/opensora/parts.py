"""The parts of STDiT3 for the engine's fast forward: captions, positions and frame rates are embedded once a run."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.caching.fast.modulation import SharedModulation
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts, row_tensors
from smoothbench.caching.fast.timesteps import TimeEmbeddings, distinct_rows
from smoothbench.models.opensora.blocks import EPS

CONDITIONS = ("y", "mask", "height", "width")


class STDiT3Architecture(Architecture):
    """STDiT3, whose spatial and temporal blocks take turns."""

    attributes = ("attn", "cross_attn", "mlp")
    gates = (True, False, True)
    without_norm = (1,)  # cross-attention
    arguments = ("x", "timestep", "y", "mask", "fps", "height", "width")
    used = frozenset(arguments)
    kinds = frozenset(
        {
            "STDiT3",
            "Rotary",
            "PatchEmbed",
            "Conv3d",
            "ScalarEmbed",
            "Sequential",
            "Linear",
            "SiLU",
            "CaptionEmbed",
            "Mlp",
            "ModuleList",
            "Block",
            "Modulated",
            "FinalLayer",
        }
    )

    def named_blocks(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the path of every block and the block, spatial and temporal in turns."""
        for n in range(len(self.denoiser.spatial_blocks)):
            for dimension in ("spatial_blocks", "temporal_blocks"):
                yield f"{dimension}.{n}", getattr(self.denoiser, dimension)[n]

    def fits(self) -> bool:
        """Return True: STDiT3 has no settings that the parts do not know."""
        return True

    def takes(self, inputs: Inputs) -> bool:
        """Return whether clips, timesteps, captions and frame rates are there, one for each row."""
        return row_tensors(inputs, "x", "timestep", "y", "fps") is not None

    def begin(self, inputs: Inputs, coordinates: Sequence[float]) -> Parts:
        """Project the captions, and compute positions, rotary angles and the embedding of the frame rate."""
        return _STDiT3Parts(self, inputs, coordinates)


class _STDiT3Parts(Parts):
    def __init__(
        self, architecture: STDiT3Architecture, inputs: Inputs, coordinates: Sequence[float]
    ) -> None:
        super().__init__(architecture, inputs, CONDITIONS)
        denoiser = self._denoiser = architecture.denoiser
        self._size = inputs["x"].shape[2:]
        self._grid = denoiser.grid(denoiser.padded(inputs["x"]))
        tokens = denoiser.x_embedder.proj.weight.new_empty(0, denoiser.x_embedder.proj.out_channels)
        self._positions = denoiser.positions(self._grid, inputs["height"], inputs["width"], tokens)
        self._fps = inputs["fps"].clone()
        self._rate = denoiser.fps_embedder(distinct_rows(self._fps))
        ahead = coordinates if len(self._rate) == 1 else ()
        self._times = TimeEmbeddings(self._time_embeddings, ahead, inputs["timestep"])
        text, keys = denoiser.text(inputs["y"], inputs.get("mask"))
        self.read_text_once(range(1, len(self.forwards), 3), text)
        rotation = denoiser.rope(self._grid[0])
        self._arguments = ((self._grid[0], rotation), (text, keys), ())
        self._modulation = SharedModulation(
            [block.scale_shift_table for block in architecture.blocks], denoiser.final_layer.scale_shift_table
        )

    def embed(self, e: int, announced: float | None, inputs: Inputs) -> Tensor:
        """Embed the patches, and modulate by the time."""
        denoiser = self._denoiser
        self._take_rate(inputs["fps"])
        self._modulation.at(*self._times(inputs["timestep"]))
        self.gates = self._modulation.gates()
        convolution, patches = denoiser.x_embedder.proj, self._patches(denoiser.padded(inputs["x"]))
        return F.linear(patches, convolution.weight.flatten(1), convolution.bias).add_(self._positions)

    def entering(self, i: int, stream: Tensor) -> Tensor:
        """Normalise and modulate the stream; cross-attention gets it as it is."""
        block, kind = divmod(i, 3)
        if kind == 1:
            return stream
        return _modulated(stream, *self._modulation.of_branch(block, kind == 2))

    def compute(self, i: int, entering: Tensor) -> Tensor:
        """Run self-attention, cross-attention to the captions, or feed-forward."""
        output: Tensor = self.forwards[i](entering, *self._arguments[i % 3])
        return output

    def head(self, stream: Tensor, inputs: Inputs) -> Any:
        """Modulate the stream by the time, project it, and put the patches together."""
        denoiser = self._denoiser
        patches = denoiser.final_layer.linear(_modulated(stream, *self._modulation.head))
        return denoiser.clip(patches, self._grid, self._size)

    def _time_embeddings(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """The modulations of timesteps [K] with the frame rate, [K, 6 * width], and their embeddings [K, width]."""
        time = self._denoiser.t_embedder(timesteps) + self._rate
        return self._denoiser.t_block(time), time

    def _take_rate(self, fps: Tensor) -> None:
        """Embed frame rates [B] where they are others than before; on a device, where nobody looks, always."""
        if fps.device.type == "cpu":
            if torch.equal(fps, self._fps):
                return
            self._fps = fps.clone()
            self._times = TimeEmbeddings(self._time_embeddings, (), fps)
        self._rate = self._denoiser.fps_embedder(distinct_rows(fps))

    def _patches(self, clips: Tensor) -> Tensor:
        """Clips [B, C, T, H, W] as patches [B, tokens, C * p * p * p]."""
        (frames, rows, columns), (time, high, wide) = self._grid, self._denoiser.patch_size
        cut = clips.reshape(len(clips), -1, frames, time, rows, high, columns, wide)
        return cut.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(len(clips), frames * rows * columns, -1)


def _modulated(stream: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, F.layer_norm(stream, stream.shape[-1:], eps=EPS), scale)
