"""The modulations of adaLN-zero blocks (Peebles and Xie 2023), of many timesteps and classes at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from smoothbench.caching.fast.modulation import SIX
from smoothbench.caching.fast.parts import Use
from smoothbench.caching.fast.timesteps import ENOUGH, repeated

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
        groups, start = list[_Group](), 0
        for use, number in uses.items():
            end = start + number * len(classes)
            shape = max(end - start, ENOUGH), self.count(use), self._width
            groups.append(_Group(use, slice(start, end), timesteps.new_empty(shape, dtype=self._dtype)))
            start = end
        blocks = self._blocks if any(NEEDED[use] for use in uses) else self._blocks[:1]
        conditions, biases = self._conditions(blocks, timesteps, classes), self._biases(blocks)
        for group in groups:
            of_group = [repeated(condition) for condition in conditions[:, group.rows].unbind(0)]
            head = group.out[:, -2:].flatten(1)
            bias = _plus_one(self._head.bias.view(1, 2, self._width)).flatten()
            torch.addmm(bias, of_group[0], self._head.weight.t(), out=head)
            self._of_blocks(blocks, biases, group, of_group)
        return {group.use: group.of(len(classes)) for group in groups}

    def _conditions(self, blocks: Sequence[Any], timesteps: Tensor, classes: Tensor) -> Tensor:
        """The embedded timesteps and classes of all blocks, [blocks, K * U, width]."""
        enough = repeated(timesteps)
        features = [_features(block, enough, self._dtype) for block in _distinct_frequencies(blocks)]
        times, labels = list[Tensor](), list[Tensor]()
        for number, block in enumerate(blocks):
            embedder = block.norm1.emb
            times.append(embedder.timestep_embedder.forward(features[number % len(features)]))
            labels.append(embedder.class_embedder.embedding_table.forward(classes))
        time, label = torch.stack(times)[:, : len(timesteps), None], torch.stack(labels)[:, None]
        return F.silu(time + label).flatten(1, 2)

    def _biases(self, blocks: Sequence[Any]) -> Tensor:
        """The biases of the modulations of all blocks, [blocks, 6, width]."""
        biases = torch.stack([block.norm1.linear.bias for block in blocks])
        return _plus_one(biases.view(len(blocks), SIX, self._width))

    def _of_blocks(
        self, blocks: Sequence[Any], biases: Tensor, group: "_Group", conditions: Sequence[Tensor]
    ) -> None:
        """Compute the modulations of one use, of all blocks."""
        for part in NEEDED[group.use]:
            of_part = biases[:, part].flatten(1).unbind(0)
            places = group.places(part)
            for block, bias, condition, place in zip(blocks, of_part, conditions, places, strict=True):
                weight = block.norm1.linear.weight
                if part.stop - part.start < SIX:
                    weight = weight[part.start * self._width : part.stop * self._width]
                torch.addmm(bias, condition, weight.t(), out=place)

    def of_each_row(self, timesteps: Tensor, classes: Tensor) -> Tensor:
        """Return the modulations of rows that have a timestep and a class each, [B, count, 1, width]."""
        pairs, use = zip(timesteps.split(1), classes.split(1), strict=True), Use.BRANCHES
        return torch.cat([self(timestep, label, {use: 1})[use][0] for timestep, label in pairs])


@dataclass(frozen=True)
class _Group:
    """The modulations of one use: those of the conditions `rows`, in `out` [rows or more, count, width]."""

    use: Use
    rows: slice
    out: Tensor

    def places(self, part: slice) -> Sequence[Tensor]:
        """The places of these modulations of every block, [rows or more, count * width]."""
        parts, width = NEEDED[self.use], self.out.shape[-1]
        sizes = [other.stop - other.start for other in parts]
        here = parts.index(part)
        blocks = self.out[:, :-2].flatten(1).split(sum(sizes) * width, 1)
        return (
            blocks
            if len(parts) == 1
            else [block.split([n * width for n in sizes], 1)[here] for block in blocks]
        )

    def of(self, classes: int) -> Tensor:
        """The modulations of so many classes, [timesteps, classes, count, 1, width]."""
        return self.out[: self.rows.stop - self.rows.start].unflatten(0, (-1, classes)).unsqueeze(3)


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


def _plus_one(biases: Tensor) -> Tensor:
    """The biases [blocks, parts, width] of modulations, with 1 added to those of scales (1, 4)."""
    parts = biases.clone()
    parts[:, 1::3] += 1
    return parts
