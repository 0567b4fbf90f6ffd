"""Measure time and memory of runs that are compared with each other."""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

Clock = Callable[[], float]


def interleaved(
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int,
    synchronize: Callable[[], None] | None = None,
    order_seed: int = 0,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Measure the seconds of every run in every round, {name: [rounds]}, while the runs take turns.

    First come `warmup` untimed calls of every run. Every round then visits all runs once, in an order shuffled
    by the round's own generator, so that drift of the machine's clock and load falls on all runs equally.
    `synchronize` (for instance torch.cuda.synchronize) is called before the clock is read, which gives seconds.
    Raises ValueError without runs, with rounds below 1 or warmup below 0.
    """
    wait = synchronize or _nothing

    def timed(run: Callable[[], object]) -> float:
        wait()
        started = clock()
        run()
        wait()
        return clock() - started

    return in_rounds({name: partial(timed, run) for name, run in runs.items()}, rounds, warmup, order_seed)


def in_rounds(
    runs: Mapping[str, Callable[[], float]], rounds: int, warmup: int, order_seed: int = 0
) -> dict[str, list[float]]:
    """Collect the seconds that every run reports of itself, {name: [rounds]}, while the runs take turns.

    Order, warmup and errors are those of `interleaved`.
    """
    if not runs or rounds < 1 or warmup < 0:
        raise ValueError(
            f"latency of {len(runs)} runs with rounds={rounds}, warmup={warmup}: "
            "needs a run, rounds of at least 1 and warmup of at least 0"
        )
    for run in runs.values():
        for _ in range(warmup):
            run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(rounds):
        names = list(runs)
        random.Random(order_seed + index).shuffle(names)
        for name in names:
            seconds[name].append(runs[name]())
    return seconds


def median_mad(values: list[float]) -> tuple[float, float]:
    """Return the median and the median absolute deviation (not scaled to a normal's sigma); ValueError if empty."""
    if not values:
        raise ValueError("no values to take the median of: measure at least one round")
    middle = statistics.median(values)
    return middle, statistics.median(abs(value - middle) for value in values)


def ratio_interval(
    numerator: list[float], denominator: list[float], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the median of the per-round ratios and its interval, free of any distribution: (median, low, high).

    The interval ends at the order statistics r and n+1-r with the largest r such that
    P(Binomial(n, 1/2) < r) <= (1 - confidence) / 2 (David and Nagaraja, Order Statistics, section 7.1).
    Raises ValueError for lists that do not pair, times that are not above 0, and too few rounds
    for the confidence (95 % needs 6).
    """
    if len(numerator) != len(denominator) or not numerator:
        raise ValueError(
            f"cannot pair {len(numerator)} with {len(denominator)} rounds: measure both in the same rounds"
        )
    if not all(math.isfinite(value) and value > 0 for value in (*numerator, *denominator)):
        raise ValueError("times must be finite and above 0 seconds: measure again")
    ratios = sorted(a / b for a, b in zip(numerator, denominator, strict=True))
    rank = _median_rank(len(ratios), confidence)
    return statistics.median(ratios), ratios[rank - 1], ratios[-rank]


@dataclass
class PeakResident:
    """Peak resident set in bytes; None until its block has ended, and where it cannot be measured."""

    bytes: int | None = None


@contextmanager
def peak_resident_bytes() -> Iterator[PeakResident]:
    """Measure the peak resident set of this process inside a with block, on Linux.

    The kernel's high-water mark is reset on entry (5 to /proc/self/clear_refs) and read on exit (VmHWM).
    """
    peak = PeakResident()
    try:
        Path("/proc/self/clear_refs").write_text("5")
        can_reset = True
    except OSError:
        # without the reset the mark is that of the whole process so far: no answer is better than that one
        can_reset = False
    try:
        yield peak
    finally:
        peak.bytes = _high_water_mark() if can_reset else None


def _median_rank(count: int, confidence: float) -> int:
    """The largest rank, from 1, whose order statistics hold the median with this confidence."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} must lie between 0 and 1, for instance 0.95")
    rank, below = 0, 0
    while (below + math.comb(count, rank)) / 2**count <= (1 - confidence) / 2:
        below += math.comb(count, rank)
        rank += 1
    if rank == 0:
        most = 1 - 2.0 ** (1 - count)
        raise ValueError(
            f"{count} rounds give no {confidence} interval of a median (at most {most}): "
            "measure more rounds or ask for less confidence"
        )
    return rank


def _high_water_mark() -> int | None:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM:"))
    return next((int(kib) * 1024 for _, kib, _ in lines), None)


def _nothing() -> None:
    """A CPU's calls have ended when they return."""
