"""The state of a denoiser under a dynamic policy, which may change its decisions while a forward runs."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from smoothbench.caching.decisions import Decisions
from smoothbench.caching.evaluation_clock import Clock, Tick
from smoothbench.caching.fast import FollowedForward
from smoothbench.caching.hooks import Forward, Wrap
from smoothbench.caching.nesting import contains, runs
from smoothbench.caching.outputs import predicted
from smoothbench.caching.predictor import Predictor
from smoothbench.caching.probes import INPUT, OUTPUT, GivenUp, Probe, approaches, input_wraps, refuse_hooks
from smoothbench.caching.run import Run
from smoothbench.caching.site_visits import Visits
from smoothbench.caching.sites import SPAN, Site


class DynamicRun(Run):
    """Follows the decisions of a dynamic policy: those before a forward, and those after each probe in it.

    A probe may lie inside a site that the policy then reuses: that site is given up there, and its predicted output
    takes its place; likewise at its end, where it was computed for a check alone. Sites that have run keep their
    outputs. `probe_calls` counts the approaches that ran in vain.
    """

    def __init__(
        self,
        sites: tuple[Site, ...],
        decisions: Decisions,
        predictor: Predictor,
        clock: Clock,
        visits: Visits,
    ) -> None:
        probed = {probe.site for probe in decisions.probes if probe.of == OUTPUT}
        may_skip = [site.name not in probed for site in sites]
        super().__init__(sites, decisions.before, may_skip, predictor, clock, visits)
        self._decisions = decisions
        pairs = list(zip(decisions.probes, decisions.places, strict=True))
        self.reads_input |= frozenset(
            i for i, site in enumerate(sites) if Probe(site.name, INPUT) in decisions.probes
        )
        self._approaches = {probe: dict(approaches(sites, probe, place)) for probe, place in pairs}
        # the sites that must run for a probe to be reached: those around it, and for its output the site itself
        self._needed = {
            probe: [i for i, site in enumerate(sites) if self._must_run(site, probe, place)]
            for probe, place in pairs
        }
        self._after = {probe.site: probe for probe in decisions.probes if probe.of == OUTPUT}
        self._pending: set[Probe] = set()  # probes that this forward has not reached
        self._under_way: list[int] = []  # sites that are being computed, the outer ones first
        self._unfed: set[int] = set()  # sites whose feeders this forward has left out
        self._calls: Counter[str] = Counter(
            {p.name: 0 for of in self._approaches.values() for p in of.values()}
        )

    @staticmethod
    def _must_run(site: Site, probe: Probe, place: Site) -> bool:
        return contains(site, place) or (probe.of == OUTPUT and site.name == probe.site)

    @property
    def probe_calls(self) -> dict[str, int]:
        """How often a site was given up at a probe inside it, by the name of the approach."""
        return dict(self._calls)

    def probe_wraps(self, denoiser: nn.Module) -> list[tuple[nn.Module, Wrap]]:
        """Wraps that show the inputs of probed sites to the policy; they belong before those of the sites."""
        probed = self.probed_inputs
        return input_wraps(
            denoiser, [place for _, place in probed], [partial(self.reach, probe) for probe, _ in probed]
        )

    @property
    def probed_inputs(self) -> list[tuple[Probe, Site]]:
        """The probes on inputs, and the sites whose inputs they are."""
        pairs = zip(self._decisions.probes, self._decisions.places, strict=True)
        return [(probe, place) for probe, place in pairs if probe.of == INPUT]

    def refuse_hooks(self, denoiser: nn.Module) -> None:
        """Raise ValueError where another library's hook would not see the end of a site that is given up."""
        for probe, place in self.probed_inputs:
            for i in self._approaches[probe]:
                refuse_hooks(denoiser, self.sites[i], probe, place)

    def begin(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Prepare for one forward; ValueError where a probe lies in a site that it would reuse."""
        super().begin(args, kwargs)
        self._pending, self._under_way, self._unfed = set(self._decisions.probes), [], set()
        self._check_probes("decide()", self.computed)

    def forward(self, original: Forward, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run the denoiser's forward; where the denoiser's own site is given up, return its predicted output."""
        try:
            return super().forward(original, args, kwargs)
        except GivenUp as given_up:
            assert self._outermost is not None and given_up.site is self.sites[self._outermost]
            return self.predict(self._outermost)

    def _run_fast(self, tick: Tick, inputs: Mapping[str, Any]) -> Any:
        """Run the fast forward, which reports what it reaches."""
        assert isinstance(self.fast, FollowedForward)
        return self.fast.follow(tick, inputs, self)

    def enter(self, i: int) -> bool:
        """Site `i` is reached: return whether this forward computes it."""
        computes = super().enter(i)
        if computes:
            self._under_way.append(i)
        return computes

    def feed(self, i: int) -> bool:
        """A module that feeds site `i` is reached: it runs where the site is computed, or its input is a probe."""
        if self.computed[i] or i in self.reads_input:
            return True
        self._unfed.add(i)
        return False

    def keep(self, i: int, output: Any) -> None:
        """Keep a computed output of site `i`, show it to the policy, and ask again where it is a probe."""
        if i in self._under_way:
            self._under_way.remove(i)
        if self._decisions.observes and not self._decisions.show(i, self._prediction(i), output):
            self._refuse_to_discard(i)
            self.counts[i] += 1
            raise GivenUp(self.sites[i])
        super().keep(i, output)
        if (probe := self._after.get(self.sites[i].name)) is not None:
            self.reach(probe, output)

    def _prediction(self, i: int) -> Callable[[], Any]:
        """A call that gives what the predictor would have given for site `i`: None where nothing is kept yet."""
        history, now, rebuild, predictor = self._history[i], self._now, self._rebuilds[i], self.predictors[i]
        by_input = self.inputs is not None
        return lambda: rebuild(predicted(history, predictor, now, by_input)) if rebuild and history else None

    def reach(self, probe: Probe, value: Any) -> None:
        """Ask the policy again after a probe, and follow it; ValueError where it changes what has run."""
        self._pending.discard(probe)
        if (bits := self._decisions.after(probe, value)) is None:
            return
        decided = runs(bits, self._outer)
        for i, (old, new) in enumerate(zip(self.computed, decided, strict=True)):
            settled = i in self._unfed or (self.visits.has_run(i) and i not in self._under_way)
            if bool(old) != new and settled:
                raise ValueError(
                    f"{self._decisions.name}.decide_after changes {self.sites[i].name}, which has run already when "
                    f"{probe} is seen"
                )
        self._check_probes("decide_after()", decided)
        self.computed = decided
        if self._history is next(iter(self._histories.values())):  # of the first forward of the evaluation
            self.realised[-1] = decided
        for i, approach in self._approaches[probe].items():
            reached = self.sites[i].name == probe.site and all(decided[j] for j in self._outer[i])
            fed_in_vain = reached and not decided[i]
            self._calls[approach.name] += fed_in_vain or (i in self._under_way and not decided[i])
        for i in self._under_way:
            if not decided[i]:
                self._give_up(i)

    def _refuse_to_discard(self, i: int) -> None:
        """Raise ValueError where no prediction of site `i` can take the place of what was computed."""
        if self.sites[i].level != SPAN or not self._history[i]:
            why = "is no span" if self.sites[i].level != SPAN else "was never kept before"
            raise ValueError(
                f"{self._decisions.name}.observe discards what {self.sites[i].name} gave, which {why}"
            )

    def _give_up(self, i: int) -> None:
        """Leave site `i` in the middle of it; its prediction takes its place."""
        self._under_way = self._under_way[: self._under_way.index(i)]
        self.visits.leave_out(self._inner[i])
        raise GivenUp(self.sites[i])

    def _check_probes(self, which: str, bits: Sequence[bool]) -> None:
        for probe in self._pending:
            for i in self._needed[probe]:
                if not bits[i]:
                    inside = "is that of" if self.sites[i].name == probe.site else "lies in"
                    raise ValueError(
                        f"{self._decisions.name}.{which} reuses {self.sites[i].name}, but its probe {probe} {inside} "
                        "it: a probe must be reached"
                    )
