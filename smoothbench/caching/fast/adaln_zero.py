"""The modulations of adaLN-zero blocks (Peebles and Xie 2023), of many timesteps and classes at once."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.caching.fast.modulation import SIX
from smoothbench.caching.fast.parts import Use

# rows of a product: fewer are rounded otherwise, by one thread or two, and a sample would depend on its batch
ENOUGH: Final = 16
# the modulations of a block, of six, that a forward needs which computes branches of it, reuses them, or does neither
NEEDED: Final = {Use.BRANCHES: (slice(0, SIX),), Use.GATES: (slice(2, 3), slice(5, SIX)), Use.ENDS: ()}


class AdaLNZero:
    """Computes the modulations of the blocks and the head of diffusers' DiT: 1 is added to scales."""

    def __init__(self, denoiser: Any, blocks: Sequence[Any]) -> None:
        self._blocks, self._head, self._width = blocks, denoiser.proj_out_1, denoiser.inner_dim
        self._dtype = self._head.weight.dtype

    @property
    def row_bytes(self) -> int:
        """The size of all modulations of one timestep and class."""
        return self.count(Use.BRANCHES) * self._width * self._head.weight.element_size()

    def count(self, use: Use) -> int:
        """Return the number of modulations that a forward needs: of all blocks, then shift and scale of the head."""
        return sum(part.stop - part.start for part in NEEDED[use]) * len(self._blocks) + 2

    def __call__(self, timesteps: Tensor, classes: Tensor, use: Use = Use.BRANCHES) -> Tensor:
        """Return the modulations of timesteps [K] and classes [U], [K, U, count, 1, width]."""
        width, rows, count = self._width, len(timesteps) * len(classes), self.count(use)
        together = timesteps.new_empty(max(rows, ENOUGH), count, width, dtype=self._dtype)
        enough = _repeated(timesteps)
        features = [_features(block, enough, self._dtype) for block in _distinct_frequencies(self._blocks)]
        place = 0
        for number, block in enumerate(self._blocks):
            embedder = block.norm1.emb
            if number and not NEEDED[use]:
                break
            time = embedder.timestep_embedder.forward(features[number % len(features)])[: len(timesteps)]
            label = embedder.class_embedder.embedding_table.forward(classes)
            condition = _repeated(F.silu(time[:, None] + label).view(rows, width))
            if number == 0:
                _linear(self._head, slice(0, 2), condition, together[:, -2:])
            for part in NEEDED[use]:
                after = place + part.stop - part.start
                _linear(block.norm1.linear, part, condition, together[:, place:after])
                place = after
        return together[:rows].view(len(timesteps), len(classes), count, 1, width)

    def of_each_row(self, timesteps: Tensor, classes: Tensor) -> Tensor:
        """Return the modulations of rows that have a timestep and a class each, [B, count, 1, width]."""
        pairs = zip(timesteps.split(1), classes.split(1), strict=True)
        return torch.cat([self(timestep, label)[0] for timestep, label in pairs])


def _repeated(rows: Tensor) -> Tensor:
    """Rows [n, ...] of a product; where they are too few, they are repeated in turns."""
    if len(rows) >= ENOUGH:
        return rows
    return rows.index_select(0, torch.arange(ENOUGH, device=rows.device) % len(rows))


def _features(block: Any, timesteps: Tensor, dtype: torch.dtype) -> Tensor:
    features: Tensor = block.norm1.emb.time_proj.forward(timesteps).to(dtype)
    return features


def _distinct_frequencies(blocks: Sequence[Any]) -> Sequence[Any]:
    """The first block alone where all have the same frequencies of the timestep, else all blocks."""

    def settings(block: Any) -> tuple[Any, ...]:
        frequencies = block.norm1.emb.time_proj
        return (
            frequencies.num_channels,
            frequencies.flip_sin_to_cos,
            frequencies.downscale_freq_shift,
            frequencies.scale,
        )

    return blocks[:1] if len(set(map(settings, blocks))) == 1 else blocks


def _linear(layer: nn.Linear, part: slice, condition: Tensor, out: Tensor) -> None:
    """Write some modulations of a linear layer to `out` [rows, parts, width]; 1 is added to scales (1, 4)."""
    width = condition.shape[1]
    bias = layer.bias.view(-1, width).clone()
    bias[1::3] += 1
    weight = layer.weight[part.start * width : part.stop * width]
    torch.addmm(bias[part].flatten(), condition, weight.t(), out=out.flatten(1))
