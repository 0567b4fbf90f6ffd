"""Run static schedules as compiled graphs, one for each set of computed sites, without Python in between."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.caching.engine import aligned
from smoothbench.caching.evaluation_clock import Clock, Tick
from smoothbench.caching.hooks import Forward, StandIn, Wrap, standing_in
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.site_visits import outside_message
from smoothbench.caching.sites import find_sites

MOST_GRAPHS = 1024  # torch gives up after 8 by default, and after 256 of all models of a class
Outputs = list[Tensor | None]


class Compiled:
    """A denoiser compiled by torch, whose graphs are shared by all schedules that it follows.

    The set of computed sites is part of a graph, and cached outputs are its inputs: a schedule whose evaluations are
    either computed or reused in full needs two graphs, and one that differs between sites needs a graph for each
    distinct set. A schedule that skips nothing has a graph that caches nothing, like the bare model. Outputs are
    reused as they are (predictor `reuse`). `backend` is torch.compile's.
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
        self._old_outputs: Outputs = []  # read by a graph
        # written by it; a separate list, so that a graph does not depend on its old content
        self._new_outputs: Outputs = []
        self._forward = denoiser.forward
        self._graphs = torch.compile(self._forward, backend=backend, dynamic=False, fullgraph=True)
        self._inside = False  # a forward that was announced or counted is under way
        # made once, because torch recognises a graph by the identity of the functions that it was traced through
        modules = [denoiser.get_submodule(site.path) for site in self.sites]
        self._branches = [StandIn(module, partial(self._branch, i)) for i, module in enumerate(modules)]

    @contextmanager
    def following(self, schedule: Schedule, calls_per_eval: int = 1) -> Iterator[Clock]:
        """Make the denoiser follow the schedule within a context; announce all forwards to the clock, or none.

        Raises ValueError for a schedule that does not fit the denoiser or the run, and RuntimeError
        where contexts nest.
        """
        schedule_bits = aligned(self.sites, schedule)
        clock = Clock(self._forward, schedule.evals, calls_per_eval)
        histories: dict[int | str, Outputs] = {}

        def forward(*args: Any, **kwargs: Any) -> Any:
            try:
                tick = clock.enter(args, kwargs)
                if tick.starts_run:
                    self._forget(histories)
                self._make_ready(schedule_bits[tick.e], tick, histories.pop(tick.forward_index, None))
                self._inside = True
                output = self._graphs(*args, **kwargs)
            except BaseException:
                clock.void()
                raise
            finally:
                self._inside = False
            pairs = zip(self._new_outputs, self._old_outputs, strict=True)
            histories[tick.forward_index] = [old if new is None else new for new, old in pairs]
            return output

        limits = {"cache_size_limit": MOST_GRAPHS, "accumulated_cache_size_limit": MOST_GRAPHS}
        with standing_in(self.denoiser, [*self._branches, StandIn(self.denoiser, _always(forward))]):
            self.cache_bytes, self._keeps = 0, not all(map(all, schedule_bits))
            try:
                with torch._dynamo.config.patch(limits):
                    yield clock
            finally:
                self._forget(histories)
        clock.finish()

    def _make_ready(self, computed: tuple[bool, ...], tick: Tick, history: Outputs | None) -> None:
        """Prepare for one forward; ValueError where it would reuse outputs that an interrupted run has dropped."""
        if history is None and not all(computed):
            raise ValueError(f"evaluation {tick.e} reuses outputs of a run that broke: start a new one")
        # outputs that are about to be computed are dropped first, or memory would hold them twice
        old: Iterable[Tensor | None] = history or [None] * len(computed)
        self._old_outputs = [
            None if renewed else output for renewed, output in zip(computed, old, strict=True)
        ]
        self._computed, self._new_outputs = computed, [None] * len(computed)

    def _forget(self, histories: dict[int | str, Outputs]) -> None:
        """Drop all kept outputs, and note how many bytes they were."""
        self.cache_bytes = max(self.cache_bytes, sum(map(_bytes, histories.values())))
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
            return self._old_outputs[i]

        return forward


def _bytes(outputs: Sequence[Tensor | None]) -> int:
    return sum(output.nbytes for output in outputs if output is not None)


def _always(forward: Forward) -> Wrap:
    return lambda original: forward
