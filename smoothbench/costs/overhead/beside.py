"""The same mask run by us and by our peers: caches of other libraries, each on a copy of the denoiser."""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from smoothbench.caching import MacCounter
from smoothbench.costs.overhead.cases import Case
from smoothbench.costs.overhead.realised import Rounds, Row, measured
from smoothbench.costs.overhead.runs import KEPT, UNCACHED, Run, Timed, runs
from smoothbench.costs.peers import cache_dit_masks, diffusers_hooks, smoothcache_helper
from smoothbench.costs.peers.peer import Peer
from smoothbench.errors import UsageError, one_line
from smoothbench.sampling.loop import latents, silent

INTERVALS = (1, 2, 3)  # 1: everything is computed and kept
Table = dict[str, tuple[Row, ...]]  # of every cache its rows by interval


def all_peers(smoothcache: Path | None) -> list[Peer]:
    """Return all peers; the published SmoothCache helper is one of them where its clone is given."""
    published = smoothcache_helper.peers(smoothcache) if smoothcache else []
    return [*diffusers_hooks.peers(), *cache_dit_masks.peers(), *published]


def beside(case: Case, batch: int, rounds: Rounds, peers: Sequence[Peer]) -> tuple[Table, list[str]]:
    """Time ours and the peers' runs in the same rounds; the rows, and a line for each peer that does not run here.

    Args: case, whose points are our masks of an interval of 2 and of 3.
    """
    timed, lines, groups = runs(case, batch), list[str](), dict[str, tuple[str, ...]]()
    for level in case.levels:
        names = (KEPT, *(cache.cache for cache in case.caches(level)))
        groups[f"SmoothBench, {level}"] = tuple(f"{level}, {name}" for name in names)
    with _quiet():
        for peer in peers:
            if reason := peer.unavailable_reason:
                lines.append(reason)
                continue
            try:
                theirs = _runs_of(peer, case, batch)
            except Exception as error:  # whatever another library makes of this denoiser
                reason = f"{peer.name}: does not run on {case.model.name}"
                lines.append(f"{reason} ({type(error).__name__}: {one_line(error)[:120]})")
                continue
            timed |= theirs
            groups[peer.name] = tuple(theirs)
        by_name = measured(timed, case, rounds, UNCACHED)
    return {group: tuple(by_name[name] for name in names) for group, names in groups.items()}, lines


def _runs_of(peer: Peer, case: Case, batch: int) -> dict[str, Timed]:
    """The peer's runs by interval; UsageError where it skips nothing at an interval of 3."""
    full = _macs(_bare(case, 1))
    timed = {}
    for interval in INTERVALS:
        model = copy.copy(case.model)
        model.__dict__["denoiser"] = copy.deepcopy(case.model.denoiser)
        reset = peer.attach(model.denoiser, interval, len(case.solver.coordinates))
        copied = replace(case, model=model)
        share = _macs(_after(reset, _bare(copied, 1))) / full
        if interval == INTERVALS[-1] and share == 1:
            raise UsageError("it skips nothing here")
        name = f"{peer.name}, N={interval}"
        timed[name] = Timed(name, peer.reuses, "", share, _after(reset, _bare(copied, batch)), reset)
    return timed


def _after(reset: Callable[[], object], run: Run) -> Run:
    return lambda last: (reset(), run(last))


def _bare(case: Case, batch: int) -> Run:
    return lambda last: (latents(case.model, case.solver, range(batch), silent), last())


def _macs(run: Run) -> int:
    with MacCounter() as counter:
        run(lambda: None)
    return counter.macs().total


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the log free of what other libraries tell of every run, which would also count as their time."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
