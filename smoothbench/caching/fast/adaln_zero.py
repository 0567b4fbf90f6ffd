"""The modulations of adaLN-zero blocks (Peebles and Xie 2023), of many timesteps and classes at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
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

    def __call__(self, timesteps: Tensor, classes: Tensor, uses: Mapping[Use, int]) -> dict[Use, Tensor]:
        """Return the modulations of timesteps [K] and classes [U]: by their use, [k, U, count, 1, width].

        `uses` says for how many of the timesteps a use is, in their order, and has all of them.
        """
        rows, enough = len(timesteps) * len(classes), _repeated(timesteps)
        groups, start = list[_Group](), 0
        for use, number in uses.items():
            end = start + number * len(classes)
            out = timesteps.new_empty(
                max(end - start, ENOUGH), self.count(use), self._width, dtype=self._dtype
            )
            groups.append(_Group(use, slice(start, end), out))
            start = end
        blocks = self._blocks if any(NEEDED[use] for use in uses) else self._blocks[:1]
        features = [_features(block, enough, self._dtype) for block in _distinct_frequencies(blocks)]
        for number, block in enumerate(blocks):
            embedder, linear = block.norm1.emb, block.norm1.linear
            time = embedder.timestep_embedder.forward(features[number % len(features)])[: len(timesteps)]
            label = embedder.class_embedder.embedding_table.forward(classes)
            conditions = F.silu(time[:, None] + label).view(rows, self._width)
            bias = _plus_one(linear.bias, self._width)
            for group in groups:
                condition = _repeated(conditions[group.rows])
                if number == 0:
                    head = _plus_one(self._head.bias, self._width)
                    _product(self._head.weight, head, slice(0, 2), condition, group.out[:, -2:])
                for part in NEEDED[group.use]:
                    _product(linear.weight, bias, part, condition, group.next(part.stop - part.start))
        return {group.use: group.of(len(classes)) for group in groups}

    def of_each_row(self, timesteps: Tensor, classes: Tensor) -> Tensor:
        """Return the modulations of rows that have a timestep and a class each, [B, count, 1, width]."""
        pairs, use = zip(timesteps.split(1), classes.split(1), strict=True), Use.BRANCHES
        return torch.cat([self(timestep, label, {use: 1})[use][0] for timestep, label in pairs])


@dataclass
class _Group:
    """The modulations of one use: those of the conditions `rows`, in `out` [rows or more, count, width]."""

    use: Use
    rows: slice
    out: Tensor
    place: int = 0

    def next(self, count: int) -> Tensor:
        """The place of the next modulations, [rows or more, count, width]."""
        self.place += count
        return self.out[:, self.place - count : self.place]

    def of(self, classes: int) -> Tensor:
        """The modulations of so many classes, [timesteps, classes, count, 1, width]."""
        return self.out[: self.rows.stop - self.rows.start].unflatten(0, (-1, classes)).unsqueeze(3)


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


def _plus_one(bias: Tensor, width: int) -> Tensor:
    """The bias [parts, width] of modulations, with 1 added to that of scales (1, 4)."""
    parts = bias.view(-1, width).clone()
    parts[1::3] += 1
    return parts


def _product(weight: Tensor, bias: Tensor, part: slice, condition: Tensor, out: Tensor) -> None:
    """Write some modulations of a linear layer with bias [parts, width] to `out` [rows, parts, width]."""
    width = condition.shape[1]
    some = weight[part.start * width : part.stop * width]
    torch.addmm(bias[part].flatten(), condition, some.t(), out=out.flatten(1))
