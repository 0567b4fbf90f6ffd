"""The state of a denoiser inside `cached(...)`: the sites that the present forward computes, cached outputs, counts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from smoothbench.caching import grid
from smoothbench.caching.announce import Announcer
from smoothbench.caching.evaluation_clock import Clock, Tick
from smoothbench.caching.predictor import Predictor
from smoothbench.caching.site_visits import Visits, check_tensor
from smoothbench.caching.sites import Site
from smoothbench.caching.timestep import first_tensor

Decide = Callable[[Tick, Tensor], Sequence[bool]]
# For each site its kept outputs with their coordinates, the newest first: lists that are replaced, never changed
# in place, as torch's compiler forgets what code under it does to a full deque.
Histories = list[list[tuple[float, Tensor]]]


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
        self.sites, self.may_skip = sites, may_skip
        self._everything = [True] * len(sites)
        self.computed: Sequence[bool] = (
            self._everything
        )  # by site, for the present forward; outside one all are
        # the sites that the last run computed, by evaluation, at the first forward of each
        self.realised: list[tuple[bool, ...]] = []
        self.forwards = 0
        self.counts = [0] * len(sites)
        self.cache_bytes = 0
        self.visits = visits
        self._decide, self._predictor = decide, predictor
        self._planned = coordinates if grid.has_timesteps(coordinates) else None
        self._now = 0.0
        self._histories: dict[int | str, Histories] = {}
        self._history: Histories = []

    @property
    def calls(self) -> dict[str, int]:
        """How often the original forward of each site was executed, by the site's name."""
        return {site.name: n for site, n in zip(self.sites, self.counts, strict=True)}

    @property
    def skipped_share(self) -> float:
        """The share of branch computations that were reused so far, from 0 to 1."""
        return 1 - sum(self.counts) / (self.forwards * len(self.sites)) if self.forwards else 0.0

    @property
    def degenerate(self) -> bool:
        """Whether something ran and nothing was skipped."""
        return self.forwards > 0 and self.skipped_share == 0

    def begin(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Prepare for one forward of the denoiser; ValueError, before anything is computed, where it fits no run."""
        tick = self.clock.enter(args, kwargs)
        self._check_grid(tick)
        if tick.starts_run:
            self.forget()
            self.realised = []
        if tick.forward_index not in self._histories:
            self._histories[tick.forward_index] = [[] for _ in self.sites]
        self._history = self._histories[tick.forward_index]
        self._now = self._coordinate(tick)
        self.computed = self._decide(tick, first_tensor(args, kwargs))
        if tick.forward_index == next(iter(self._histories)):
            self.realised.append(tuple(map(bool, self.computed)))
        self.forwards += 1
        self.visits.begin()

    def end(self, failed: bool) -> None:
        """Note the end of the forward; one that raised voids the run."""
        self.computed = self._everything
        if failed:
            self.clock.void()
        self.visits.end(failed)

    def keep(self, i: int, output: Tensor) -> None:
        """Keep a computed output of site `i`; ValueError where it is no single tensor."""
        check_tensor(self.sites[i], output)
        self.counts[i] += 1
        self._history[i] = [(self._now, output), *self._history[i][: self._predictor.depth - 1]]

    def predict(self, i: int) -> Tensor:
        """Predict the output of site `i` from its kept outputs."""
        return self._predictor(self._history[i], self._now)

    def forget(self) -> None:
        """Drop all kept outputs, and note how many bytes they were."""
        outputs = [t for histories in self._histories.values() for history in histories for _, t in history]
        self.cache_bytes = max(self.cache_bytes, sum(t.numel() * t.element_size() for t in outputs))
        self._histories, self._history = {}, []

    def _check_grid(self, tick: Tick) -> None:
        """Raise ValueError where an evaluation starts at another timestep than the schedule was planned for."""
        planned, now = self._planned, tick.coordinate
        if (
            planned is None
            or now is None
            or not tick.starts_evaluation
            or grid.is_close(planned, tick.e, now)
        ):
            return
        raise ValueError(
            f"the schedule was planned for timesteps {grid.describe(planned)}, evaluation {tick.e} at "
            f"{planned[tick.e]:.6g}, but the run is at {now:.6g}: calibrate and plan with the settings of this run"
        )

    def _coordinate(self, tick: Tick) -> float:
        if self._predictor.coordinate == "index":
            return float(tick.e)
        if tick.coordinate is None:
            raise ValueError("this predictor works in timesteps: announce them by run.step(e, coordinate)")
        return tick.coordinate
