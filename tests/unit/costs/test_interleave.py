"""Latency: who is called, how often, in which order; and intervals of medians."""

import mmap
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from smoothbench.costs.interleave import interleaved, median_mad, peak_resident_bytes, ratio_interval

NAMES = ("a", "b", "c", "d")


def calls_of(rounds: int, warmup: int, order_seed: int = 0) -> tuple[list[str], dict[str, list[float]]]:
    calls: list[str] = []
    runs = {name: (lambda name=name: calls.append(name)) for name in NAMES}
    return calls, interleaved(runs, rounds, warmup, order_seed=order_seed)


def test_warms_up_then_visits_all_in_every_round() -> None:
    calls, seconds = calls_of(rounds=5, warmup=2)
    assert calls[:8] == [name for name in NAMES for _ in range(2)]
    for start in range(8, 28, 4):
        assert Counter(calls[start : start + 4]) == Counter(NAMES)
    assert len(calls) == 28
    assert list(seconds) == list(NAMES)
    assert all(len(values) == 5 and min(values) >= 0 for values in seconds.values())


def test_order_is_shuffled_by_round_and_seed_alone() -> None:
    first, _ = calls_of(rounds=8, warmup=0)
    assert calls_of(rounds=8, warmup=0)[0] == first
    assert calls_of(rounds=3, warmup=0)[0] == first[:12]
    assert calls_of(rounds=8, warmup=0, order_seed=99)[0] != first
    assert len({tuple(first[i : i + 4]) for i in range(0, 32, 4)}) > 1


def test_synchronizes_before_and_after_each_timed_run() -> None:
    events: list[str] = []
    interleaved({"a": lambda: events.append("run")}, 3, 0, synchronize=lambda: events.append("wait"))
    assert events == ["wait", "run", "wait"] * 3


@pytest.mark.parametrize(("names", "rounds", "warmup"), [((), 1, 0), (("a",), 0, 0), (("a",), 1, -1)])
def test_interleaved_refuses(names: tuple[str, ...], rounds: int, warmup: int) -> None:
    with pytest.raises(ValueError, match=f"latency of {len(names)} runs"):
        interleaved(dict.fromkeys(names, dict), rounds, warmup)


def test_median_mad() -> None:
    assert median_mad([1.0, 2.0, 4.0, 100.0, 3.0]) == (3.0, 1.0)
    assert median_mad([1.0, 3.0]) == (2.0, 1.0)
    with pytest.raises(ValueError, match="no values"):
        median_mad([])


@pytest.mark.parametrize(
    # ranks from the tables of the sign test, 95 %
    ("count", "low", "high"),
    [(6, 1, 6), (8, 1, 8), (9, 2, 8), (10, 2, 9), (15, 4, 12), (20, 6, 15), (25, 8, 18), (50, 18, 33)],
)
def test_ratio_interval_is_the_order_statistics(count: int, low: int, high: int) -> None:
    ratios = np.random.default_rng(count).permutation(np.arange(1.0, count + 1))
    denominator = np.linspace(0.5, 2.0, count)
    interval = ratio_interval(list(ratios * denominator), list(denominator))
    assert interval == pytest.approx(((count + 1) / 2, low, high))


def test_ratio_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        _, low, high = ratio_interval(list(np.exp(rng.normal(size=10))), [1.0] * 10)
        hits += low <= 1.0 <= high
    assert hits / 2000 == pytest.approx(1 - 2 * 11 / 1024, abs=0.015)


def test_ratio_interval_refuses() -> None:
    with pytest.raises(ValueError, match=r"5 rounds give no 0.95 interval of a median \(at most 0.9375\)"):
        ratio_interval([1.0] * 5, [2.0] * 5)
    with pytest.raises(ValueError, match=r"no 0.937501 interval of a median \(at most 0.9375\)"):
        ratio_interval([1.0] * 5, [2.0] * 5, confidence=0.937501)
    assert ratio_interval([1.0] * 5, [2.0] * 5, confidence=0.9) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="cannot pair 2 with 3"):
        ratio_interval([1.0] * 2, [1.0] * 3)
    with pytest.raises(ValueError, match="cannot pair 0 with 0"):
        ratio_interval([], [])
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite and above 0"):
            ratio_interval([1.0] * 6, [1.0] * 5 + [bad])
    with pytest.raises(ValueError, match="confidence=1"):
        ratio_interval([1.0] * 6, [1.0] * 6, confidence=1.0)


def test_peak_is_of_the_block_alone() -> None:
    with peak_resident_bytes() as large:
        with mmap.mmap(-1, 2**26) as block:  # straight from the kernel, whatever the allocator still holds
            block.write(b"x" * 2**26)
        assert large.bytes is None
    with peak_resident_bytes() as small:
        pass
    if not Path("/proc/self/clear_refs").exists():
        assert large.bytes is None and small.bytes is None
        return
    assert large.bytes is not None and small.bytes is not None
    assert large.bytes - small.bytes > 0.9 * 2**26


def test_peak_is_read_after_an_exception_too() -> None:
    with pytest.raises(RuntimeError, match="inside"), peak_resident_bytes() as peak:
        raise RuntimeError("inside")
    assert (peak.bytes is not None) == Path("/proc/self/clear_refs").exists()
