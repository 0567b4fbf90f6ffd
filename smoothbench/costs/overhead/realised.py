"""How much of the speed-up that its MACs imply a run realises, and what the engine itself costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from smoothbench.costs.interleave import Clock, interleaved, ratio_interval
from smoothbench.costs.overhead.cases import Case
from smoothbench.costs.overhead.runs import BARE, UNCACHED, Timed, growth, runs
from smoothbench.sampling.devices import wait_for


@dataclass(frozen=True)
class Rounds:
    """How often everything is measured, and by which clock, in seconds."""

    count: int
    clock: Clock


Interval = tuple[float, float, float]  # a median over rounds, and the ends of its 95 % interval


@dataclass(frozen=True)
class Row:
    """One run of the table: its time over the bare forward's and over the uncached one's, and what its MACs imply.

    `realised` is the speed-up over the uncached run, or over the bare one (`realised_over_bare`), by the implied one.
    """

    label: str
    level: str
    predictor: str
    over_bare: Interval
    over_uncached: Interval
    implied: float
    realised: Interval
    realised_over_bare: Interval
    cache_bytes: int


def realised(case: Case, batch: int, rounds: Rounds) -> list[Row]:
    """Time all runs of a case in interleaved rounds, and return their rows, the uncached run's first."""
    return list(measured(runs(case, batch), case, rounds, UNCACHED).values())


def measured(timed: Mapping[str, Timed], case: Case, rounds: Rounds, reference: str) -> dict[str, Row]:
    """Time runs in interleaved rounds and return a row for all but the bare one; `reference` names the uncached run."""
    wait = wait_for(case.model.device)
    alone = {name: _alone(run) for name, run in timed.items()}
    seconds = interleaved(alone, rounds.count, 1, wait, clock=rounds.clock)
    uncached_bytes = growth(timed[BARE], case.model)
    return {
        name: row(
            run,
            ratio_interval(seconds[name], seconds[BARE]),
            ratio_interval(seconds[name], seconds[reference]),
            growth(run, case.model) - uncached_bytes,
        )
        for name, run in timed.items()
        if name != BARE
    }


def row(run: Timed, over_bare: Interval, over_uncached: Interval, cache_bytes: int) -> Row:
    """Return the row of a run, from its time over two others'."""
    share = run.share
    if run.corrected:
        over_bare, over_uncached = (_scaled(ratio, 1 / share) for ratio in (over_bare, over_uncached))
        share = 1.0
    return Row(
        run.label,
        run.level,
        run.predictor,
        over_bare,
        over_uncached,
        1 / share,
        _realised(share, over_uncached),
        _realised(share, over_bare),
        cache_bytes,
    )


def _scaled(ratio: Interval, factor: float) -> Interval:
    middle, low, high = ratio
    return middle * factor, low * factor, high * factor


def _realised(share: float, ratio: Interval) -> Interval:
    middle, low, high = ratio
    return share / middle, share / high, share / low


def _alone(run: Timed) -> Callable[[], object]:
    return lambda: run.run(_nothing)


def _nothing() -> None: ...
