"""The steps of one forward, made once for every distinct set of computed sites."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from smoothbench.caching.fast.chain import add_terms
from smoothbench.caching.fast.parts import Architecture, Parts, Use
from smoothbench.caching.fast.slots import Bits, Slot
from smoothbench.caching.predictor import Weighted

Kept = tuple[tuple[float, ...], tuple[Tensor, ...]]  # coordinates and outputs, the newest first


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
    """Adds what the kept outputs of consecutive slots predict, each with the gate of its branch (None: a sum)."""

    slots: tuple[tuple[int, int | None], ...]
    in_place: bool

    def __call__(self, forward: Forward, stream: Tensor) -> Tensor:
        gates, history, predictors, terms = forward.parts.gates, forward.history, forward.predictors, []
        at: tuple[float, ...] = ()
        by: Weighted | None = None
        for slot, branch in self.slots:
            coordinates, outputs = history[slot]
            if coordinates is not at or predictors[slot] is not by:  # mostly those of the slot before
                at, by = coordinates, predictors[slot]
                weights = forward.weights(by, at)
            gate = None if branch is None else gates[branch]
            for output, weight in zip(outputs, weights, strict=True):
                terms.append((gate, output, weight))
        return add_terms(stream, terms, self.in_place)


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


@dataclass(frozen=True)
class Plan:
    """The steps of a forward, and the numbers of the sites that it computes."""

    steps: tuple[Step, ...]
    computed: tuple[int, ...]

    @property
    def use(self) -> Use:
        """What the forward does with the blocks."""
        if any(isinstance(step, Compute) for step in self.steps):
            return Use.BRANCHES
        reused = (branch for step in self.steps if isinstance(step, Reuse) for _, branch in step.slots)
        return Use.ENDS if all(branch is None for branch in reused) else Use.GATES


def plan(architecture: Architecture, slots: Sequence[Slot], reusable: Sequence[bool], bits: Bits) -> Plan:
    """Plan the forward that computes the sites with these bits, and keeps the outputs of `reusable` slots.

    Where a slot is reused, nothing inside of it runs, whatever the bits there say.
    """
    planner = _Planner(architecture, slots, reusable, bits)
    branch = 0
    while branch < len(architecture.paths):
        branch = planner.at(branch)
    planner.flush()
    return Plan(tuple(planner.steps), tuple(sorted(planner.computed)))


@dataclass
class _Planner:
    """Walks along the branches; consecutive reused slots wait until something else comes."""

    architecture: Architecture
    slots: Sequence[Slot]
    reusable: Sequence[bool]
    bits: Bits
    steps: list[Step] = field(default_factory=list)
    computed: list[int] = field(default_factory=list)
    _waiting: list[tuple[int, int | None]] = field(default_factory=list)
    _in_place: bool = True  # the embedded stream is nobody else's

    def at(self, branch: int) -> int:
        """Plan what begins at a branch; the next branch to plan."""
        if branch in self.architecture.joins:
            self._shared(Join(branch))
        here = [n for n, slot in enumerate(self.slots) if slot.first == branch]
        for n in sorted(here, key=lambda n: (-self.slots[n].last, not self.slots[n].is_sum)):
            slot = self.slots[n]
            if not self.bits[slot.sites[0]]:
                self._waiting.append((n, None if slot.is_sum else branch))
                return self._after(slot.last)
            self.computed += slot.sites
            if slot.is_sum and self.reusable[n]:
                self._shared(Open(n))
        self._compute(branch, here)
        return self._after(branch)

    def flush(self) -> None:
        """Plan the reused slots that wait."""
        if self._waiting:
            self.steps.append(Reuse(tuple(self._waiting), self._in_place))
            self._waiting, self._in_place = [], True

    def _compute(self, branch: int, here: Sequence[int]) -> None:
        self.flush()
        slot = next((n for n in here if self.reusable[n] and not self.slots[n].is_sum), None)
        # a stream that a branch got as it is may be kept there: by hooks inside of it, or as its own output
        in_place = self._in_place and not self.architecture.bare[branch]
        self.steps.append(Compute(branch, slot, in_place))
        self._in_place = True

    def _after(self, last: int) -> int:
        ended = [n for n, slot in enumerate(self.slots) if slot.last == last and Open(n) in self.steps]
        for n in ended:
            self.flush()
            self.steps.append(Close(n))
        return last + 1

    def _shared(self, step: Step) -> None:
        """Plan a step after which another has the stream as well."""
        self.flush()
        self.steps.append(step)
        self._in_place = False
