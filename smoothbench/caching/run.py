"""The state of a denoiser inside `cached(...)`: the sites that the present forward computes, cached outputs, counts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from smoothbench.caching import grid
from smoothbench.caching.announce import Announcer
from smoothbench.caching.binding import bound
from smoothbench.caching.evaluation_clock import Clock, Tick
from smoothbench.caching.fast.forward import FastForward
from smoothbench.caching.hooks import Forward
from smoothbench.caching.inputs import Inputs, PredictsFromInput
from smoothbench.caching.nesting import inner_sites, outer_sites, runs
from smoothbench.caching.outputs import Rebuild, predicted, take_apart
from smoothbench.caching.predictor import Predictor
from smoothbench.caching.site_visits import Visits
from smoothbench.caching.sites import DENOISER, Site
from smoothbench.caching.timestep import first_tensor

Decide = Callable[[Tick, Tensor], Sequence[bool]]
# For each site, and each tensor of its output, the kept ones with their coordinates, the newest first. Lists are
# replaced, never changed in place: torch's compiler forgets what code under it does to a full deque.
Histories = list[list[list[tuple[float, Tensor]]]]


class Run(Announcer):
    """What `cached(...)` returns: counts of what ran so far, and the state of the sampling run under way.

    `coordinates` are the time grid that the schedule was planned for, None where it does not say.
    """

    def __init__(
        self,
        sites: tuple[Site, ...],
        decide: Decide,
        may_skip: Sequence[bool],
        predictor: Predictor,
        clock: Clock,
        visits: Visits,
        coordinates: Sequence[float] | None = None,
    ) -> None:
        super().__init__(clock)
        self.sites, self.may_skip, self.visits = sites, may_skip, visits
        self._tick: Tick | None = None
        self._outer = outer_sites(sites)
        self._inner = inner_sites(self._outer)
        self._nested = any(self._outer)
        self._outermost = next((i for i, site in enumerate(sites) if site.level == DENOISER), None)
        self._everything = [True] * len(sites)
        self.computed: Sequence[bool] = self._everything  # by site, for the present forward; all outside one
        self.realised: list[tuple[bool, ...]] = []  # of the last run, at the first forward of each evaluation
        self.forwards = self.cache_bytes = 0
        self.counts = [0] * len(sites)
        self.at_start: Callable[[], None] = _nothing  # called before a run; what it raises voids it
        self.intercept: Callable[[], None] = _nothing  # called before the denoiser's own forward runs
        self.fast: FastForward | None = None  # answers for the denoiser where it can
        self._decide, self._predictor, self._now = decide, predictor, 0.0
        self.inputs = Inputs(predictor, sites) if isinstance(predictor, PredictsFromInput) else None
        self.reads_input = frozenset(() if self.inputs is None else range(len(sites)))  # also where skipped
        self.predictors = bound(self.inputs or predictor, sites, clock.evals)  # one for each site
        self._planned = coordinates if grid.has_timesteps(coordinates) else None
        self._histories: dict[int | str, Histories] = {}  # by forward of an evaluation
        self._history: Histories = []
        self._rebuilds: list[Rebuild | None] = [None] * len(sites)  # makes an output of its tensors

    @property
    def calls(self) -> dict[str, int]:
        """How often each site was computed, by the site's name."""
        return {site.name: n for site, n in zip(self.sites, self.counts, strict=True)}

    @property
    def probe_calls(self) -> dict[str, int]:
        """How often a site was given up at a probe inside it; a schedule gives up none."""
        return {}

    @property
    def place(self) -> tuple[int, int | str, float]:
        """The evaluation of the present forward, its index, and its coordinate as the predictor counts it."""
        assert self._tick is not None
        return self._tick.e, self._tick.forward_index, self._now

    def kept_at(self, i: int) -> list[float]:
        """Return the coordinates at which outputs of site `i` were kept, the newest first."""
        return [coordinate for coordinate, _ in self._history[i][0]] if self._history[i] else []

    @property
    def skipped_share(self) -> float:
        """The share of the sites' computations that were left out so far, from 0 to 1."""
        return 1 - sum(self.counts) / (self.forwards * len(self.sites)) if self.forwards else 0.0

    @property
    def may_be_fast(self) -> bool:
        """Whether runs may run by a fast forward, if it takes their arguments."""
        return self.fast is not None

    @property
    def is_fast(self) -> bool:
        """Whether the sampling run under way runs by a fast forward."""
        return self.fast is not None and self.fast.is_running

    @property
    def degenerate(self) -> bool:
        """Whether something ran and nothing was skipped."""
        return self.forwards > 0 and self.skipped_share == 0

    def begin(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Prepare for one forward of the denoiser; ValueError, before anything is computed, where it fits no run."""
        tick = self._tick = self.clock.enter(args, kwargs)
        if tick.starts_evaluation:
            grid.refuse_other(self._planned, tick.e, tick.coordinate)
        if tick.starts_run:
            self.at_start()
            self.check()
            self.realised = []
        if (index := tick.forward_index) not in self._histories:
            self._histories[index] = [[] for _ in self.sites]
        self._history = self._histories[index]
        self._now = self._coordinate(tick)
        given = first_tensor(args, kwargs)
        self.computed = self._decide(tick, given)
        if self._nested:
            self.computed = runs(self.computed, self._outer)
        if tick.forward_index == next(iter(self._histories)):
            self.realised.append(tuple(map(bool, self.computed)))
        if self.inputs is not None and self._outermost is not None:
            self.inputs.see(self, self._outermost, given)
        self.forwards += 1
        self.visits.begin()

    def forward(self, original: Forward, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run the denoiser's forward, or return its predicted output where that is reused as it is."""
        if self._outermost is not None and not self.enter(self._outermost):
            return self.predict(self._outermost)
        assert self._tick is not None
        inputs = None if self.fast is None else self.fast.inputs(self._tick, args, kwargs)
        if self.fast is None or inputs is None:
            self.intercept_now()
            return original(*args, **kwargs)
        return self._run_fast(self._tick, inputs)

    def _run_fast(self, tick: Tick, inputs: Mapping[str, Any]) -> Any:
        """Run the fast forward, and count what it computes."""
        assert self.fast is not None
        output, computed = self.fast(tick, self._now, self.computed, inputs)
        for i in computed:
            self.counts[i] += 1
        self.visits.leave_out_all()
        return output

    def intercept_now(self) -> None:
        """Have the sites' forwards intercepted, if they are not yet."""
        intercept, self.intercept = self.intercept, _nothing
        intercept()

    def end(self, failed: bool, output: Any = None) -> None:
        """Take the end of the forward and its output; one that raised voids the run."""
        try:
            if self._outermost is not None and not failed and self.computed[self._outermost]:
                if not self.visits.has_run(self._outermost):  # another library's forward stood before ours
                    self.visits.visit(self._outermost)
                self.keep(self._outermost, output)
        finally:
            self.computed = self._everything
        if failed:
            self.clock.void()
        self.visits.end(failed)

    def enter(self, i: int) -> bool:
        """Site `i` is reached: return whether this forward computes it."""
        self.visits.visit(i)
        if self.computed[i]:
            return True
        self.visits.leave_out(self._inner[i])
        return False

    def reached(self, i: int) -> bool:
        """Return whether site `i` was reached before in this forward."""
        return self.visits.has_run(i)

    def feed(self, i: int) -> bool:
        """A module that feeds site `i` alone is reached: return whether this forward computes the site."""
        return bool(self.computed[i]) or i in self.reads_input

    def fed(self, i: int) -> None:
        """Nothing is noted of the modules that feed a site."""

    def keep(self, i: int, output: Any) -> None:
        """Keep a computed output of site `i`; ValueError where it has no tensors, or not as many as before."""
        leaves, self._rebuilds[i] = take_apart(output, self.sites[i].name)
        if i == self._outermost:  # the caller has these very tensors, and may change them
            leaves = [leaf.clone() for leaf in leaves]
        self.counts[i] += 1
        if not self.may_skip[i]:
            return
        older = self._history[i] or [[] for _ in leaves]
        if len(older) != len(leaves):
            raise ValueError(
                f"{self.sites[i].name} returned {len(older)} tensors before, and {len(leaves)} now: it cannot be kept"
            )
        last, pairs = self.predictors[i].depth - 1, zip(leaves, older, strict=True)
        self._history[i] = [[(self._now, leaf), *earlier[:last]] for leaf, earlier in pairs]

    def predict(self, i: int) -> Any:
        """Predict the output of site `i` from its kept outputs, tensor by tensor."""
        rebuild, predictor = self._rebuilds[i], self.predictors[i]
        assert rebuild is not None  # the first evaluation computes every site
        leaves = predicted(self._history[i], predictor, self._now, self.inputs is not None)
        if i == self._outermost:  # the caller may change what it gets, but not what is kept
            leaves = [leaf.clone() for leaf in leaves]
        return rebuild(leaves)

    def check(self) -> None:
        """End the run; ValueError where it was not what it was taken for."""
        if self.inputs is not None:
            self.inputs.check()
        self.forget()
        if self.fast is not None:
            self.fast.check()

    def forget(self) -> None:
        """Drop all kept outputs, and note how many bytes they were."""
        of_sites = [of_site for of_forward in self._histories.values() for of_site in of_forward]
        size = sum(t.nbytes for of_site in of_sites for history in of_site for _, t in history)
        size += sum(0 if kept is None else kept.forget() for kept in (self.fast, self.inputs))
        self.cache_bytes = max(self.cache_bytes, size)
        self._histories, self._history = {}, []
        self._rebuilds = [None] * len(self.sites)

    def close(self) -> None:
        """Forget everything but the counts, so that a run that is kept holds no denoiser."""
        self.forget()
        self.at_start, self.intercept, self._decide, self.fast = _nothing, _nothing, _undecided, None

    def _coordinate(self, tick: Tick) -> float:
        if self._predictor.coordinate == "index":
            return float(tick.e)
        if tick.coordinate is None:
            raise ValueError("this predictor works in timesteps: announce them by run.step(e, coordinate)")
        return tick.coordinate


def _nothing() -> None: ...


def _undecided(tick: Tick, hidden_states: Tensor) -> Sequence[bool]:
    raise ValueError("this run has ended: enter cached(...) again")
