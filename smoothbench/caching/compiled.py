"""Static schedules as compiled graphs: one for each distinct row, without Python in between."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.caching.clock import Clock
from smoothbench.caching.engine import aligned
from smoothbench.caching.intercept import Forward, Wrap, intercepted
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.sites import find_sites

MOST_GRAPHS = 256  # torch gives up after 8 by default


class Compiled:
    """A denoiser compiled by torch, its graphs shared by all schedules that it follows.

    What is computed is baked into a graph, and what was kept is an input of it: a schedule of full and
    cached evaluations needs two graphs, one that differs between sites as many as it has distinct rows.
    Outputs are reused as they are (predictor `reuse`). `backend` as for torch.compile.
    """

    def __init__(self, denoiser: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
        self.denoiser, self.sites = denoiser, find_sites(denoiser)
        self.cache_bytes = 0  # of the outputs kept in the run under way, at most
        self._row: tuple[bool, ...] = ()
        self._kept: list[Tensor | None] = []  # read by a graph
        self._fresh: list[
            Tensor | None
        ] = []  # written by it: apart, so that it does not depend on what was there
        self._forward = denoiser.forward
        self._graphs = torch.compile(self._forward, backend=backend, dynamic=False, fullgraph=True)
        self._branches: list[tuple[nn.Module, Wrap]] = []
        for i, site in enumerate(self.sites):
            module = denoiser.get_submodule(site.path)
            # made once: torch recognises a graph by the very functions that it was traced through
            self._branches.append((module, _always(self._branch(i, module.forward))))

    @contextmanager
    def following(self, schedule: Schedule, calls_per_eval: int = 1) -> Iterator[Clock]:
        """Within the context the denoiser follows the schedule; announce forwards to the clock, or none.

        Raises ValueError for a schedule that does not fit the denoiser or the run.
        """
        rows = aligned(self.sites, schedule)
        clock = Clock(self._forward, schedule.evals, calls_per_eval)
        histories: dict[int | str, list[Tensor | None]] = {}

        def forward(*args: Any, **kwargs: Any) -> Any:
            tick = clock.enter(args, kwargs)
            if tick.starts:
                histories.clear()
                self.cache_bytes = 0
            self._row = rows[tick.e]
            nothing: list[Tensor | None] = [None] * len(self.sites)
            self._kept, self._fresh = histories.get(tick.branch, nothing), list(nothing)
            with torch._dynamo.config.patch(cache_size_limit=MOST_GRAPHS):
                output = self._graphs(*args, **kwargs)
            pairs = zip(self._fresh, self._kept, strict=True)
            histories[tick.branch] = [old if new is None else new for new, old in pairs]
            kept = [each for history in histories.values() for each in history if each is not None]
            self.cache_bytes = max(self.cache_bytes, sum(each.nbytes for each in kept))
            return output

        with intercepted(self.denoiser, [*self._branches, (self.denoiser, _always(forward))]):
            yield clock
        clock.finish()

    def _branch(self, i: int, original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if self._row[i]:
                self._fresh[i] = output = original(*args, **kwargs)
                return output
            return self._kept[i]

        return forward


def _always(forward: Forward) -> Wrap:
    return lambda original: forward
