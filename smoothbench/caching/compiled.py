"""Run schedules, and policies that decide before a forward, as compiled graphs: one for each set of computed sites."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.caching import grid
from smoothbench.caching.binding import bound, predictor_of
from smoothbench.caching.decisions import Decisions
from smoothbench.caching.engine import aligned
from smoothbench.caching.evaluation_clock import Clock, Tick
from smoothbench.caching.hooks import Forward, StandIn, Wrap, standing_in
from smoothbench.caching.inputs import PredictsFromInput
from smoothbench.caching.policy import DynamicPolicy
from smoothbench.caching.predictor import Predictor, Weighted
from smoothbench.caching.run import Decide
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.site_visits import outside_message
from smoothbench.caching.sites import Site, find_sites
from smoothbench.caching.sites_of_policy import sites_of
from smoothbench.caching.timestep import first_tensor
from smoothbench.caching.weighted_sum import timesteps_of

# of graphs: torch gives up after 8 by default, and after 256 of all models of a class
LIMITS = MappingProxyType({"cache_size_limit": 1024, "accumulated_cache_size_limit": 1024})
# what one forward gave at each site; None where it did not compute it
Outputs = list[Tensor | None]
Kept = list[list[tuple[float, Tensor]]]  # at each site, with their coordinates, the newest first


class Compiled:
    """A denoiser compiled by torch, whose graphs are shared by all schedules and policies that it follows.

    The set of computed sites is part of a graph, and cached outputs are its inputs: a schedule whose evaluations are
    either computed or reused in full needs two graphs, and one that differs between sites needs a graph for each
    distinct set. A schedule that skips nothing has a graph that caches nothing, like the bare model. The weights of a
    predictor are inputs of a graph too, so that it needs no more graphs than `reuse`. `backend` is torch.compile's.
    """

    def __init__(self, denoiser: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
        self.denoiser, self.sites = denoiser, find_sites(denoiser)
        if several := [site for site in self.sites if site.calls > 1]:
            raise ValueError(
                f"{several[0].name} runs {several[0].calls} times in a forward, which no graph here can follow: use "
                "cached(...), which runs uncompiled"
            )
        self.cache_bytes = 0  # size of the outputs kept in the last context
        self._computed: tuple[bool, ...] = ()
        self._keeps = True
        self._old_outputs: list[
            list[Tensor]
        ] = []  # read by a graph: at each reused site as many as its predictor needs
        self._weights: Tensor | None = (
            None  # theirs, [site, output], on the CPU; None: the newest one as it is
        )
        # written by it; a separate list, so that a graph does not depend on its old content
        self._new_outputs: Outputs = []
        self._forward = denoiser.forward
        self._graphs = torch.compile(self._forward, backend=backend, dynamic=False, fullgraph=True)
        self._inside = False  # a forward that was announced or counted is under way
        # made once, because torch recognises a graph by the identity of the functions that it was traced through
        modules = [denoiser.get_submodule(site.path) for site in self.sites]
        self._branches = [StandIn(module, partial(self._branch, i)) for i, module in enumerate(modules)]

    @contextmanager
    def following(
        self,
        schedule_or_policy: Schedule | DynamicPolicy,
        calls_per_eval: int = 1,
        predictor: str | Predictor | None = None,
        evals: int | None = None,
    ) -> Iterator[Clock]:
        """Make the denoiser follow a schedule or policy within a context; announce all forwards to the clock, or none.

        A policy decides on the branches before each forward, from the denoiser's inputs; `evals` is the number of
        evaluations that it plans for, if any. `predictor` is by default that of `cached`. Raises ValueError for a
        schedule that does not fit the denoiser or the run and its timesteps, for a policy that looks inside forwards,
        and for a predictor that has no weights; RuntimeError where contexts nest.
        """
        decide, evals, keeps = self._decisions(schedule_or_policy, evals)
        chosen = predictor_of(schedule_or_policy, predictor)
        predictors, planned = _weighted(chosen, self.sites, evals), _grid(schedule_or_policy, chosen)
        clock = Clock(self._forward, evals, calls_per_eval)
        histories: dict[int | str, Kept] = {}

        def forward(*args: Any, **kwargs: Any) -> Any:
            try:
                tick = clock.enter(args, kwargs)
                if tick.starts_evaluation:
                    grid.refuse_other(planned, tick.e, tick.coordinate)
                if tick.starts_run:
                    self._forget(histories)
                now = _coordinate(predictors[0], tick)
                computed = decide(tick, first_tensor(args, kwargs))
                history = self._make_ready(
                    computed, tick, histories.pop(tick.forward_index, None), predictors, now
                )
                self._inside = True
                output = self._graphs(*args, **kwargs)
            except BaseException:
                clock.void()
                raise
            finally:
                self._inside = False
            histories[tick.forward_index] = self._renewed(history, now)
            return output

        with standing_in(self.denoiser, [*self._branches, StandIn(self.denoiser, _always(forward))]):
            self.cache_bytes, self._keeps = 0, keeps
            try:
                with torch._dynamo.config.patch(dict(LIMITS)):
                    yield clock
            finally:
                self._forget(histories)
        clock.finish()

    def _decisions(
        self, policy: Schedule | DynamicPolicy, evals: int | None
    ) -> tuple[Decide, int | None, bool]:
        """How forwards are decided on, for how many evaluations, and whether anything may be reused."""
        if isinstance(policy, Schedule):
            rows = aligned(self.sites, policy)
            return lambda tick, _: rows[tick.e], policy.evals, not all(map(all, rows))
        if sites_of(policy, self.denoiser) != tuple(self.sites):
            raise ValueError(
                f"{type(policy).__name__} decides on sites that are no branches: use cached(...)"
            )
        decisions = Decisions(policy, self.denoiser, self.sites, evals)
        if decisions.look_inside:
            raise ValueError(
                f"{decisions.name} looks inside forwards, which are graphs here: use cached(...)"
            )
        return decisions.before, evals, True

    def _make_ready(
        self,
        computed: Sequence[bool],
        tick: Tick,
        history: Kept | None,
        predictors: Sequence[Weighted],
        now: float,
    ) -> Kept:
        """Prepare for one forward, and return what stays kept beside what it will compute.

        ValueError where it would reuse outputs that an interrupted run has dropped.
        """
        if history is None and not all(computed):
            raise ValueError(f"evaluation {tick.e} reuses outputs of a run that broke: start a new one")
        sites = list(zip(computed, history or [[] for _ in computed], predictors, strict=True))
        # outputs that nobody will need are dropped first, or memory would hold one more
        stays = [older[: by.depth - 1] if renewed else older for renewed, older, by in sites]
        reused = [[] if renewed else older for renewed, older, _ in sites]
        self._old_outputs = [_filled(older, by.depth) for older, by in zip(reused, predictors, strict=True)]
        self._weights = _weights(reused, predictors, now)
        self._computed, self._new_outputs = tuple(computed), [None] * len(computed)
        return stays

    def _renewed(self, history: Kept, now: float) -> Kept:
        """What is kept after a forward: what it computed before what stayed."""
        pairs = zip(self._new_outputs, history, strict=True)
        return [older if new is None else [(now, new), *older] for new, older in pairs]

    def _forget(self, histories: dict[int | str, Kept]) -> None:
        """Drop all kept outputs, and note how many bytes they were."""
        outputs = [output for sites in histories.values() for site in sites for _, output in site]
        self.cache_bytes = max(self.cache_bytes, sum(output.nbytes for output in outputs))
        histories.clear()
        self._old_outputs, self._new_outputs = [], []

    def _branch(self, i: int, original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if not self._inside:  # another library has replaced the denoiser's forward
                raise ValueError(outside_message(self.sites[i].name, type(self.denoiser).__name__))
            if self._computed[i]:
                output = original(*args, **kwargs)
                if self._keeps:
                    self._new_outputs[i] = output
                return output
            outputs, weights = self._old_outputs[i], self._weights
            if weights is None:
                return outputs[0]
            total = outputs[0].float() * weights[i, 0]
            for number, output in enumerate(outputs[1:], start=1):
                total = total + output.float() * weights[i, number]
            return total.to(outputs[0].dtype)

        return forward


def _weighted(predictor: Predictor, sites: Sequence[Site], evals: int | None) -> Sequence[Weighted]:
    """The predictor of each site; ValueError where one cannot tell its weights."""
    if isinstance(predictor, PredictsFromInput):
        raise ValueError(f"{type(predictor).__name__} cannot be compiled: it looks at the inputs of sites")
    predictors = bound(predictor, sites, evals)
    weighted = [one for one in predictors if isinstance(one, Weighted)]
    if len(weighted) < len(predictors):
        name = type(predictors[0]).__name__
        raise ValueError(f"{name} cannot be compiled: it has no method weights(coordinates, now)")
    return weighted


def _grid(policy: Schedule | DynamicPolicy, predictor: Predictor) -> Sequence[float] | None:
    """The timesteps that a schedule was planned for or weights were fitted to; None where neither says."""
    known = timesteps_of(predictor, policy.coordinates if isinstance(policy, Schedule) else None)
    return known if grid.has_timesteps(known) else None


def _filled(older: Sequence[tuple[float, Tensor]], depth: int) -> list[Tensor]:
    """Kept outputs, and zeros where there are fewer than `depth`: a graph has as many inputs at every evaluation."""
    outputs = [output for _, output in older[:depth]]
    # a tensor of its own for each place, as torch traces apart what gets one tensor twice
    return outputs + [torch.zeros_like(outputs[0]) for _ in range(depth - len(outputs))] if outputs else []


def _coordinate(predictor: Weighted, tick: Tick) -> float:
    if predictor.coordinate == "index":
        return float(tick.e)
    if tick.coordinate is None:
        raise ValueError("this predictor works in timesteps: announce them by the clock")
    return tick.coordinate


def _weights(reused: Kept, predictors: Sequence[Weighted], now: float) -> Tensor | None:
    """The weights of what each site reuses, [site, output]; None where every predictor keeps one output."""
    depth = max(by.depth for by in predictors)
    if depth == 1:
        return None
    table = torch.zeros(len(reused), depth)
    for row, older, by in zip(table, reused, predictors, strict=True):
        if older:
            row[: len(older)] = torch.tensor(by.weights([at for at, _ in older], now))
    return table


def _always(forward: Forward) -> Wrap:
    return lambda original: forward
