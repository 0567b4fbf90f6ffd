"""The steps of a forward: each takes the stream on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from smoothbench.caching.fast.chain import Term, add_terms
from smoothbench.caching.fast.parts import Parts
from smoothbench.caching.predictor import Weighted

Kept = tuple[tuple[float, ...], tuple[Tensor, ...]]  # coordinates and outputs, the newest first
# the gate of a slot, its outputs, and their weights
Reused = tuple[Tensor | None, Sequence[Tensor], Sequence[float]]


class Forward(Protocol):
    """The forward under way, as its steps see it; slots are numbered."""

    @property
    def parts(self) -> Parts: ...

    @property
    def history(self) -> Sequence[Kept]:
        """The kept outputs of each slot."""
        ...

    @property
    def predictors(self) -> Sequence[Weighted]:
        """The predictor of each slot."""
        ...

    @property
    def opened(self) -> dict[int, Tensor]:
        """The stream before each sum that is being computed."""
        ...

    def keep(self, slot: int, output: Tensor) -> None: ...

    def weights(self, predictor: Weighted, coordinates: tuple[float, ...]) -> Sequence[float]: ...


class Step(Protocol):
    """A step takes the stream on."""

    def __call__(self, forward: Forward, stream: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Compute:
    """Computes a branch, keeps its output if it has a slot, and adds it to the stream."""

    branch: int
    slot: int | None
    in_place: bool

    def __call__(self, forward: Forward, stream: Tensor) -> Tensor:
        parts = forward.parts
        output = parts.compute(self.branch, parts.entering(self.branch, stream))
        if self.slot is not None:
            forward.keep(self.slot, output)
        gate = parts.gates[self.branch]
        if gate is None:
            return stream.add_(output) if self.in_place else torch.add(stream, output)
        return stream.addcmul_(gate, output) if self.in_place else torch.addcmul(stream, gate, output)


@dataclass(frozen=True)
class Reuse:
    """Adds what the kept outputs of consecutive slots predict, each with the gate of its branch (None: a sum).

    `oldest_first`: the outputs of an evaluation are added before those of a later one.
    """

    slots: tuple[tuple[int, int | None], ...]
    in_place: bool
    oldest_first: bool = False

    def __call__(self, forward: Forward, stream: Tensor) -> Tensor:
        gates, history, predictors = forward.parts.gates, forward.history, forward.predictors
        of_slots = list[Reused]()
        at: tuple[float, ...] = ()
        by: Weighted | None = None
        for slot, branch in self.slots:
            coordinates, outputs = history[slot]
            if coordinates is not at or predictors[slot] is not by:  # mostly those of the slot before
                at, by = coordinates, predictors[slot]
                weights = forward.weights(by, at)
            of_slots.append((None if branch is None else gates[branch], outputs, weights))
        terms = _oldest_first(of_slots) if self.oldest_first else _slot_by_slot(of_slots)
        return add_terms(stream, terms, self.in_place)


def _slot_by_slot(of_slots: Sequence[Reused]) -> list[Term]:
    return [
        (gate, output, weight)
        for gate, outputs, weights in of_slots
        for output, weight in zip(outputs, weights, strict=True)
    ]


def _oldest_first(of_slots: Sequence[Reused]) -> list[Term]:
    ages = reversed(range(max(len(outputs) for _, outputs, _ in of_slots)))
    return [
        (gate, outputs[age], weights[age])
        for age in ages
        for gate, outputs, weights in of_slots
        if age < len(outputs)
    ]


@dataclass(frozen=True)
class Join:
    """Joins the stream with an earlier one."""

    branch: int

    def __call__(self, forward: Forward, stream: Tensor) -> Tensor:
        return forward.parts.join(self.branch, stream)


@dataclass(frozen=True)
class Open:
    """Remembers the stream before the branches of a slot that keeps their sum."""

    slot: int

    def __call__(self, forward: Forward, stream: Tensor) -> Tensor:
        forward.opened[self.slot] = stream
        return stream


@dataclass(frozen=True)
class Close:
    """Keeps what the branches of a slot have added to the stream."""

    slot: int

    def __call__(self, forward: Forward, stream: Tensor) -> Tensor:
        forward.keep(self.slot, stream - forward.opened.pop(self.slot))
        return stream
