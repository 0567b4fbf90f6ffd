"""Sums for evaluations that reuse every branch, which are added up while the outputs that they need are computed.

An output is then multiplied by the gates of all these evaluations while it lies in the CPU's cache, and need not be
kept.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from smoothbench.caching.evaluation_clock import Tick
from smoothbench.caching.fast.gaps import Gaps
from smoothbench.caching.fast.parts import Inputs, Parts, SummedParts, remembered

# bytes of a stream and its sums that stay in a cache; where there are more, outputs are kept
AT_MOST: Final = 2**20


class Computed(NamedTuple):
    """A forward that computed every branch, by which its outputs can be had again."""

    tick: Tick
    now: float
    inputs: Inputs
    parts: Parts


class Sums:
    """Adds up what the evaluations of all gaps of a sampling run reuse."""

    def __init__(self, gaps: Gaps) -> None:
        self._gaps = gaps
        self._together: Tensor | None = None  # [1 + sums, B, tokens, width]: the stream, then the sums
        self._places: dict[int, int] = {}  # of the reused evaluations among these
        self._computed: deque[Computed] = deque(maxlen=gaps.depth)

    @classmethod
    def of(cls, gaps: Gaps | None, parts: SummedParts, rows: int) -> "Sums | None":
        """Return the sums of a run whose parts have the first evaluation's modulations; None where they do not pay.

        Args: rows, the batch.
        """
        if gaps is None or parts.ground.device.type != "cpu":
            return None
        together = 1 + max(map(len, gaps.targets.values()))
        if together * rows * parts.ground.nbytes > AT_MOST:
            return None
        return cls(gaps) if parts.knows_all_gates() else None

    @property
    def nbytes(self) -> int:
        """The size of all that is there for later evaluations."""
        inputs = [
            value for past in self._computed for value in past.inputs.values() if isinstance(value, Tensor)
        ]
        return sum(tensor.nbytes for tensor in (*inputs, self._together) if tensor is not None)

    def needed_from(self, e: int) -> list[Computed]:
        """Return the forwards so far whose outputs evaluation `e` or a later one reuses, the oldest first."""
        return [past for past in self._computed if self._gaps.targets[past.tick.e][-1] >= e]

    def expects(self, e: int, now: float) -> bool:
        """Return whether a predictor would count evaluation `e` as it was planned."""
        return self._gaps.nows[e] == now

    def take(self, e: int) -> Tensor:
        """Return the sum [B, tokens, width] of a reused evaluation, for the caller to change."""
        assert self._together is not None
        return self._together[self._places[e]]

    def compute(self, tick: Tick, now: float, parts: SummedParts, inputs: Inputs) -> Tensor:
        """Compute every branch of a forward, add what it gives to the sums, and return the stream behind them."""
        together = parts.tokens(inputs)[None]
        targets = self._gaps.targets.get(tick.e, ())
        if targets:
            self._computed.append(Computed(tick, now, remembered(inputs, list(inputs)), parts))
            together = self._opened(together[0], targets, parts)
        stream = together[0]
        for branch, gate in enumerate(self._gates(tick.e, targets, parts).unbind(-3)):
            output = parts.compute(branch, parts.entering(branch, stream))
            together.addcmul_(gate, output)  # the stream is a part of it
        return stream

    def _opened(self, stream: Tensor, targets: Sequence[int], parts: SummedParts) -> Tensor:
        """The stream, then the sums so far of these evaluations."""
        before, together = self._together, stream.new_empty(1 + len(targets), *stream.shape)
        together[0], together[1:] = stream, parts.ground
        for place, e in enumerate(targets, 1):
            if before is not None and e in self._places:
                together[place] = before[self._places[e]]
        self._together, self._places = together, {e: place for place, e in enumerate(targets, 1)}
        return together

    def _gates(self, e: int, targets: Sequence[int], parts: SummedParts) -> Tensor:
        """The gates of an evaluation, then those of its outputs in its targets: [1 + targets, B, branches, 1, width].

        Those are the gates of the target, times the weight of the output there.
        """
        gates = list[Tensor]()
        for evaluation in (e, *targets):
            of_one = parts.gates_at(evaluation)
            assert of_one is not None  # all gates are known, or there are no sums
            gates.append(of_one)
        together = torch.stack(gates)
        weights = self._gaps.weights.get(e, ())
        if any(weight != 1 for of_target in weights for weight in of_target):
            together[1:].mul_(together.new_tensor(weights)[:, None, :, None, None])
        return together
