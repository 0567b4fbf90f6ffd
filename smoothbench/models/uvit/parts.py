"""The parts of U-ViT for the engine's fast forward."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.caching.fast.images import to_patches
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts, row_tensors
from smoothbench.caching.fast.timesteps import TimeEmbeddings
from smoothbench.models.base.embeddings import sinusoid

NORMS = ("norm1", "norm2")  # that feed the two branches


class UViTArchitecture(Architecture):
    """U-ViT, whose later blocks begin by joining the stream with the output of an early one."""

    attributes = ("attn", "mlp")
    gates = (False, False)
    arguments = ("x", "timestep", "class_labels")
    used = frozenset(arguments)
    kinds = frozenset(
        {"UViT", "PatchEmbed", "Conv2d", "Embedding", "ModuleList", "Block", "LayerNorm", "Linear"}
    )

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__(denoiser)
        self.joins = frozenset(range(2, len(self.paths), 2))  # where a block begins, but the first one

    def named_blocks(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the path of every block and the block: early, middle, late."""
        for n, block in enumerate(self.denoiser.in_blocks):
            yield f"in_blocks.{n}", block
        yield "mid_block", self.denoiser.mid_block
        for n, block in enumerate(self.denoiser.out_blocks):
            yield f"out_blocks.{n}", block

    def fits(self) -> bool:
        """Return True: U-ViT has no settings that the parts do not know."""
        return True

    def takes(self, inputs: Inputs) -> bool:
        """Return whether pictures, timesteps and classes are there, one for each row."""
        rows = row_tensors(inputs, *self.arguments)
        return rows is not None and all(side % self.denoiser.patch_size == 0 for side in rows[0].shape[2:])

    def begin(self, inputs: Inputs, coordinates: Sequence[float]) -> Parts:
        """Embed the classes and the timesteps."""
        return _UViTParts(self, inputs, coordinates)


class _UViTParts(Parts):
    def __init__(self, architecture: UViTArchitecture, inputs: Inputs, coordinates: Sequence[float]) -> None:
        super().__init__(architecture, inputs, ["class_labels"])
        denoiser = self._denoiser = architecture.denoiser
        self.gates = (None,) * len(self.forwards)
        self._norms = [getattr(block, norm) for block in architecture.blocks for norm in NORMS]
        self._joins = [block.skip_linear for block in architecture.blocks]
        self._label = denoiser.label_emb(inputs["class_labels"])[:, None] + denoiser.pos_embed[:, :1]
        self._times = TimeEmbeddings(self._time_embeddings, coordinates, inputs["timestep"])
        self._early: list[Tensor] = []  # outputs of early blocks, for the late ones

    def embed(self, e: int, announced: float | None, inputs: Inputs) -> Tensor:
        """Embed class, time and patches as tokens."""
        denoiser, convolution, positions = (
            self._denoiser,
            self._denoiser.patch_embed.proj,
            self._denoiser.pos_embed,
        )
        self._early = []
        patches = to_patches(inputs["x"], denoiser.patch_size)
        tokens = F.linear(patches, convolution.weight.flatten(1), convolution.bias)
        (time,) = self._times(inputs["timestep"])
        return torch.cat([self._label, time.expand(len(tokens), -1, -1), tokens + positions[:, 2:]], 1)

    def _time_embeddings(self, timesteps: Tensor) -> tuple[Tensor]:
        positions = self._denoiser.pos_embed
        waves = sinusoid(timesteps, positions.shape[-1]).to(positions.dtype)
        return (waves[:, None] + positions[:, 1:2],)

    def join(self, i: int, stream: Tensor) -> Tensor:
        """Remember the output of an early block, or join that of the last one not yet joined."""
        layer = self._joins[i // 2]
        if layer is None:
            self._early.append(stream)
            return stream
        joined: Tensor = layer(torch.cat([stream, self._early.pop()], -1))
        return joined

    def entering(self, i: int, stream: Tensor) -> Tensor:
        """Normalise the stream."""
        norm = self._norms[i]
        return torch.layer_norm(stream, norm.normalized_shape, norm.weight, norm.bias, norm.eps)

    def head(self, stream: Tensor, inputs: Inputs) -> Any:
        """Normalise and project the patches, and put them together."""
        denoiser = self._denoiser
        tokens = denoiser.decoder_pred(denoiser.norm(stream[:, 2:]))
        return denoiser.picture(tokens, inputs["x"].shape[2] // denoiser.patch_size)
