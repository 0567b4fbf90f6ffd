"""Modulate the stream: normalise it, multiply it by a scale and add a shift."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SIX = 6  # modulations of a block: shift, scale and gate of its first gated branch, then of its second


def modulated(stream: Tensor, norm: nn.LayerNorm, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise the stream, multiply it by `scale` (1 is already added) and add `shift`, both [B, 1, width]."""
    normal = torch.layer_norm(stream, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    return torch.addcmul(shift, normal, scale)


class SharedModulation:
    """Modulations that all blocks share, to which each block adds a table of its own (adaLN-single, PixArt-alpha).

    Chen et al. 2023, arXiv 2310.00426, section 2.3. `tables` are [6, width] for each block, `last` [2, width] is that
    of the head.
    """

    def __init__(self, tables: Sequence[Tensor], last: Tensor) -> None:
        self._tables = _plus_one(torch.stack(list(tables)))[:, :, None, None]  # [L, 6, 1, 1, width]
        self._last = _plus_one(last)[:, None, None]
        self._of_blocks: Sequence[Tensor] = ()
        self.head: Sequence[Tensor] = ()  # shift and scale, [B, 1, width]

    def at(self, six: Tensor, time: Tensor) -> None:
        """Take the modulations of one forward: `six` [B, 6 * width] for blocks, `time` [B, width] for the head."""
        shared = six.unflatten(-1, (SIX, 1, -1)).transpose(0, 1)
        self._of_blocks = (self._tables + shared).flatten(0, 1).unbind(0)
        self.head = (self._last + time[:, None]).unbind(0)

    def gates(self) -> list[Tensor | None]:
        """Return the gates of all blocks of three branches, of which the second has none."""
        pairs = zip(self._of_blocks[2::SIX], self._of_blocks[5::SIX], strict=True)
        return [gate for first, second in pairs for gate in (first, None, second)]

    def of_branch(self, block: int, second: bool) -> Sequence[Tensor]:
        """Return shift and scale of a block's first gated branch or its second."""
        place = SIX * block + 3 * second
        return self._of_blocks[place : place + 2]


def _plus_one(tables: Tensor) -> Tensor:
    """Tables [..., parts, width] of shifts and scales, gates perhaps, with 1 added to scales."""
    added = torch.zeros_like(tables)
    added[..., 1::3, :] = 1
    return tables + added
