"""The fast forward of methods that decide while it runs: it reports every site and probe that it reaches."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from smoothbench.caching.evaluation_clock import Tick
from smoothbench.caching.fast.forward import FastForward
from smoothbench.caching.fast.parts import Architecture, Inputs, Parts
from smoothbench.caching.fast.slots import Slot
from smoothbench.caching.predictor import Weighted
from smoothbench.caching.probes import GivenUp, Probe
from smoothbench.caching.sites import Site


class Follower(Protocol):
    """Decides on the sites of a forward, by their numbers, while it runs; `keep` and `reach` may raise `GivenUp`."""

    def enter(self, i: int) -> bool:
        """Site `i` is reached: return True to have it computed, False to give its output by `predict`."""
        ...

    def keep(self, i: int, output: Any) -> None:
        """Take the output that was computed at site `i`; of a span a tuple."""
        ...

    def predict(self, i: int) -> Any:
        """Return the output of site `i` in place of a computed one."""
        ...

    def reach(self, probe: Probe, value: Tensor) -> None:
        """See the input that a probe looks at."""
        ...


@dataclass(frozen=True)
class Places:
    """Where sites and probes lie: by the number of a branch, what begins there; of spans the outer first."""

    sites: Sequence[Site]
    spans: Mapping[int, Sequence[Slot]]
    branches: Mapping[int, int]
    probed_spans: Mapping[int, Sequence[Probe]]
    probed_branches: Mapping[int, Sequence[Probe]]

    @classmethod
    def of(
        cls, sites: Sequence[Site], slots: Sequence[Slot], probed: Sequence[tuple[Probe, Slot]]
    ) -> "Places":
        """Order the slots of the sites, and those of the probes on inputs, by their first branch."""
        spans, branches = defaultdict[int, list[Slot]](list), dict[int, int]()
        for slot in sorted(slots, key=lambda slot: -slot.last):
            if slot.is_sum:
                spans[slot.first].append(slot)
            else:
                branches[slot.first] = slot.sites[0]
        of_spans, of_branches = defaultdict[int, list[Probe]](list), defaultdict[int, list[Probe]](list)
        for probe, slot in probed:
            (of_spans if slot.is_sum else of_branches)[slot.first].append(probe)
        return cls(sites, dict(spans), branches, dict(of_spans), dict(of_branches))


class FollowedForward(FastForward):
    """Runs the forwards of a denoiser from its parts, as a follower decides while they run."""

    def __init__(
        self,
        architecture: Architecture,
        slots: Sequence[Slot],
        places: Places,
        predictors: Sequence[Weighted],
        coordinates: Sequence[float],
    ) -> None:
        super().__init__(architecture, slots, predictors, coordinates, [True] * len(predictors))
        self._places, self._end = places, len(architecture.paths)

    def follow(self, tick: Tick, inputs: Inputs, follower: Follower) -> Any:
        """Run one forward as its follower decides, and return its output."""
        parts = self.run_of(tick, inputs).parts
        stream = parts.embed(tick.e, tick.coordinate if tick.is_announced else None, inputs)
        walk = _Walk(self._places, parts, follower, stream)
        return parts.head(walk.to(self._end), inputs)


@dataclass
class _Walk:
    """A forward, branch by branch; its stream is never changed in place, as sites and probes have it as well."""

    places: Places
    parts: Parts
    follower: Follower
    stream: Tensor
    branch: int = 0
    under_way: list[tuple[Slot, Tensor]] = field(default_factory=list)  # spans, and the stream before each

    def to(self, end: int) -> Tensor:
        """Return the stream behind the last branch."""
        while self.branch < end or self.under_way:
            try:
                self._on()
            except GivenUp as given_up:
                self._leave(given_up)
        return self.stream

    def _on(self) -> None:
        """End a span, or go on by what begins at the present branch."""
        if self.under_way and self.under_way[-1][0].last < self.branch:
            slot, before = self.under_way[-1]
            self.follower.keep(slot.sites[0], (self.stream - before,))
            self.under_way.pop()
            return
        for probe in self.places.probed_spans.get(self.branch, ()):
            self.follower.reach(probe, self.stream)
        for slot in self.places.spans.get(self.branch, ()):
            if not self.follower.enter(slot.sites[0]):
                self._reuse(slot, self.stream)
                return
            self.under_way.append((slot, self.stream))
        self._add(self._output())
        self.branch += 1

    def _output(self) -> Tensor:
        """The output of the present branch, before its gate."""
        branch, probes = self.branch, self.places.probed_branches.get(self.branch, ())
        site = self.places.branches.get(branch)
        entering = self.parts.entering(branch, self.stream) if probes or site is None else None
        for probe in probes:
            assert entering is not None
            self.follower.reach(probe, entering)
        if site is not None and not self.follower.enter(site):
            predicted: Tensor = self.follower.predict(site)
            return predicted
        if entering is None:
            entering = self.parts.entering(branch, self.stream)
        output = self.parts.compute(branch, entering)
        if site is not None:
            self.follower.keep(site, output)
        return output

    def _add(self, output: Tensor) -> None:
        gate = self.parts.gates[self.branch]
        self.stream = self.stream + output if gate is None else torch.addcmul(self.stream, gate, output)

    def _reuse(self, slot: Slot, before: Tensor) -> None:
        (added,) = self.follower.predict(slot.sites[0])
        self.stream, self.branch = before + added, slot.last + 1

    def _leave(self, given_up: GivenUp) -> None:
        """Go on behind a span that is given up; what is no span of these is left to the caller."""
        while self.under_way:
            slot, before = self.under_way.pop()
            if self.places.sites[slot.sites[0]] is given_up.site:
                self._reuse(slot, before)
                return
        raise given_up
