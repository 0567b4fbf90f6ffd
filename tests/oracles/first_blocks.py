"""FBCache and DBCache, written out in float64 from their published code's rules."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tests.oracles.block_by_block import BlockByBlock


@dataclass
class FirstBlocksOracle:
    """One forward of an evaluation under DBCache; with `inclusive`, a change equal to the threshold is reused, too."""

    model: BlockByBlock
    threshold: float
    inclusive: bool = False
    fn: int = 1
    bn: int = 0
    warmup: int = 0
    warmup_interval: int = 1
    max_total: float = float("inf")
    max_row: float = float("inf")
    computed: list[int] = field(default_factory=list)  # evaluations
    changes: list[float] = field(default_factory=list)
    kept: Any = None

    def __call__(self, e: int, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        start = self.model.enter(x)
        head = self.model.blocks(0, self.fn, start, t, labels)
        end = self.model.depth - self.bn
        if self._skips(e, head - start):
            middle = head + self.kept[1]
        else:
            middle = self.model.blocks(self.fn, end, head, t, labels)
            self.kept = (head - start, middle - head)
            self.computed.append(e)
        return self.model.leave(self.model.blocks(end, self.model.depth, middle, t, labels), t, labels)

    def _skips(self, e: int, new: Tensor) -> bool:
        if not self.computed:
            return False
        change = float(torch.mean(torch.abs(new - self.kept[0])) / torch.mean(torch.abs(self.kept[0])))
        self.changes.append(change)
        row = 0
        while e - 1 - row not in self.computed:
            row += 1
        warming = e < self.warmup and e % self.warmup_interval == 0
        if warming or row >= self.max_row or e - len(self.computed) >= self.max_total or self.threshold == 0:
            return False
        close = change <= self.threshold if self.inclusive else change < self.threshold
        return close or (self.threshold >= 1 and not self.inclusive)
