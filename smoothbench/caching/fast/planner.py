"""Plan the steps of a forward, once for every distinct set of computed sites."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from smoothbench.caching.fast.parts import Architecture, Use
from smoothbench.caching.fast.slots import Bits, Slot
from smoothbench.caching.fast.steps import Close, Compute, Join, Open, Reuse, Step


@dataclass(frozen=True)
class Plan:
    """The steps of a forward, the numbers of the sites that it computes, and what it does with the blocks.

    `adds_up`: it only adds kept outputs of branches, multiplied by their gates, to its embedded inputs.
    """

    steps: tuple[Step, ...]
    computed: tuple[int, ...]
    use: Use
    adds_up: bool = False


class Planner:
    """Plans the forwards of an architecture, which keep the outputs of `reusable` slots."""

    def __init__(self, architecture: Architecture, slots: Sequence[Slot], reusable: Sequence[bool]) -> None:
        self._architecture, self._slots = architecture, slots
        self._begins, self._ends = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
        for n in sorted(range(len(slots)), key=lambda n: (-slots[n].last, not slots[n].is_sum)):
            self._begins[slots[n].first].append(n)
            if slots[n].is_sum and reusable[n]:
                self._ends[slots[n].last].append(n)
        slot_of = {slot.first: n for n, slot in enumerate(slots) if reusable[n] and not slot.is_sum}
        # a stream that a branch got as it is may be kept there: by hooks inside of it, or as its own output
        self._computes = [
            {
                in_place: Compute(branch, slot_of.get(branch), in_place and not bare)
                for in_place in (False, True)
            }
            for branch, bare in enumerate(architecture.bare)
        ]
        self._reusable = reusable

    def __call__(self, bits: Bits) -> Plan:
        """Plan the forward that computes the sites with these bits.

        Where a slot is reused, nothing inside of it runs, whatever the bits there say.
        """
        steps, branch = _Steps(), 0
        while branch < len(self._computes):
            branch = self._at(branch, bits, steps)
        steps.flush()
        computed = tuple(sorted(steps.computed))
        if (only := steps.only_gated) is not None:
            return Plan((replace(only, oldest_first=True),), computed, steps.use, adds_up=True)
        return Plan(tuple(steps.steps), computed, steps.use)

    def _at(self, branch: int, bits: Bits, steps: "_Steps") -> int:
        """Plan what begins at a branch; the next branch to plan."""
        if branch in self._architecture.joins:
            steps.shared(Join(branch))
        for n in self._begins.get(branch, ()):
            slot = self._slots[n]
            if not bits[slot.sites[0]]:
                steps.reuse(n, None if slot.is_sum else branch)
                return self._after(slot.last, steps)
            steps.computed += slot.sites
            if slot.is_sum and self._reusable[n]:
                steps.opened.add(n)
                steps.shared(Open(n))
        steps.compute(self._computes[branch])
        return self._after(branch, steps)

    def _after(self, last: int, steps: "_Steps") -> int:
        for n in self._ends.get(last, ()):
            if n in steps.opened:
                steps.flush()
                steps.steps.append(Close(n))
        return last + 1


@dataclass
class _Steps:
    """The steps so far; consecutive reused slots wait until something else comes."""

    steps: list[Step] = field(default_factory=list)
    computed: list[int] = field(default_factory=list)
    opened: set[int] = field(default_factory=set)  # slots that keep a sum
    use: Use = Use.ENDS
    _waiting: list[tuple[int, int | None]] = field(default_factory=list)
    _in_place: bool = True  # the embedded stream is nobody else's

    def reuse(self, slot: int, branch: int | None) -> None:
        """Plan a reused slot: of a branch with a gate, or of a sum."""
        self._waiting.append((slot, branch))
        if branch is not None:
            self.use = max(self.use, Use.GATES)

    @property
    def only_gated(self) -> Reuse | None:
        """The only step, if it reuses branches with gates alone."""
        first = self.steps[0] if len(self.steps) == 1 else None
        gated = isinstance(first, Reuse) and all(branch is not None for _, branch in first.slots)
        return first if isinstance(first, Reuse) and gated else None

    def compute(self, step: dict[bool, Compute]) -> None:
        """Plan a computed branch, whose steps are there for a stream that may be changed, and for one that may not."""
        self.flush()
        self.steps.append(step[self._in_place])
        self._in_place, self.use = True, Use.BRANCHES

    def shared(self, step: Step) -> None:
        """Plan a step after which another has the stream as well."""
        self.flush()
        self.steps.append(step)
        self._in_place = False

    def flush(self) -> None:
        """Plan the reused slots that wait."""
        if self._waiting:
            self.steps.append(Reuse(tuple(self._waiting), self._in_place))
            self._waiting, self._in_place = [], True
