"""Recompute the scores of a record from the influence of each of its samples."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from metrics.inference import Estimate, estimate
from metrics.score import SampleMean
from smoothbench.leaderboard.difference import Difference, compare, equal
from smoothbench.leaderboard.known_parts import known_class
from smoothbench.storage.record import Record
from smoothbench.storage.score_entry import Delta, ScoreEntry

Influences = Mapping[str, NDArray[np.float64]]
ROUNDING = float(np.finfo(np.float32).eps)  # of the influences, which are stored as float32
SAMPLES = "its per-sample scores give"
INTERVAL = "the other numbers of its interval give"


def score_differences(
    record: Record, influences: Influences | None, reference: Record, others: Influences | None
) -> Iterator[Difference]:
    """Yield the numbers of a record's scores that its per-sample scores, or other numbers of it, do not give.

    Args: influences, [N] by score, and `seeds`, of the record; None where its folder publishes none;
    reference, others: the uncached record of the same seeds, and its influences.
    """
    if influences is not None:
        seeds = [seed for first, stop in record.seeds for seed in range(first, stop)]
        same = np.array_equal(influences["seeds"], seeds)
        yield from compare(
            "seeds", "as listed" if same else "others", "as listed", "the per-sample scores are"
        )
    for name, entry in record.scores.items():
        yield from compare(f"scores.{name}.n", entry.n, record.num_samples, "its samples are")
        yield from compare("num_samples", record.num_samples, int(name.rpartition("@")[2]), f"{name} is of")
        yield from _direction(name, entry)
        yield from _version(name, entry)
        if entry.se is None or entry.low is None or entry.high is None:
            continue  # a metric that knows no sample's influence
        yield from _interval(f"scores.{name}", entry)
        if entry.delta:
            yield from _delta(name, entry.value, entry.delta, reference.scores.get(name), entry.n)
        if influences is not None:
            yield from _sampled(name, entry, influences, None if record.reference else others, record)


def _interval(field: str, entry: ScoreEntry | Delta, count: int | None = None) -> Iterator[Difference]:
    """Whether value, error and interval agree; of four numbers that do not, the one that the others contradict."""
    samples = count or (entry.n if isinstance(entry, ScoreEntry) else 2)
    stored = {name: float(getattr(entry, name) or 0.0) for name in ("value", "se", "low", "high")}
    wrong = [name for name, again in _again(stored, samples).items() if not _near(stored, name, again)]
    if not wrong:
        return
    for name in stored:
        mended = stored | {name: _again(stored, samples)[name]}
        if all(_near(mended, one, again) for one, again in _again(mended, samples).items()):
            yield Difference(f"{field}.{name}", stored[name], mended[name], INTERVAL)
            return
    yield Difference(f"{field}.{wrong[0]}", stored[wrong[0]], _again(stored, samples)[wrong[0]], INTERVAL)


def _again(stored: Mapping[str, float], count: int) -> dict[str, float]:
    """Each of the four numbers from the other three."""
    width = float(stdtrit(count - 1, 0.975))
    value, se, low, high = (stored[name] for name in ("value", "se", "low", "high"))
    return {
        "value": (low + high) / 2,
        "se": (high - low) / 2 / width,
        "low": value - width * se,
        "high": value + width * se,
    }


def _near(stored: Mapping[str, float], name: str, again: float) -> bool:
    scale = max(abs(stored["value"]), abs(stored["low"]), abs(stored["high"]))
    return equal(stored[name], again, 1e-12 * scale)


def _delta(
    name: str, value: float, delta: Delta, reference: ScoreEntry | None, count: int
) -> Iterator[Difference]:
    field = f"scores.{name}.delta"
    yield from _interval(field, delta, count)
    if reference is not None:
        scale = 1e-12 * max(abs(value), abs(reference.value))
        basis = "its value minus the uncached one's gives"
        yield from compare(f"{field}.value", delta.value, value - reference.value, basis, scale)
    p = Estimate(delta.value, delta.se, count).p_value
    if not np.isclose(delta.p, p, rtol=1e-6, atol=1e-300):
        yield Difference(f"{field}.p", delta.p, p, "difference and error give")


def _sampled(
    name: str, entry: ScoreEntry, influences: Influences, others: Influences | None, record: Record
) -> Iterator[Difference]:
    """What the influences of the samples give: errors, quantiles, and values of seed blocks."""
    field, influence = f"scores.{name}", influences.get(name)
    if influence is None:
        yield Difference(field, entry.value, "none", "its per-sample scores hold for it")
        return
    step = ROUNDING * float(np.abs(influence).max())
    error = estimate(entry.value, influence).se
    yield from compare(f"{field}.se", entry.se, error, SAMPLES, step)
    if entry.delta and others is not None and name in others:
        paired = estimate(entry.delta.value, influence - others[name]).se
        slack = step + ROUNDING * float(np.abs(others[name]).max())
        yield from compare(f"{field}.delta.se", entry.delta.se, paired, SAMPLES, slack)
    slack = 2 * step + ROUNDING * abs(entry.value)
    for level, stored in (entry.quantiles or {}).items():
        again = float(np.quantile(influence, float(level))) + entry.value
        yield from compare(f"{field}.quantiles.{level}", stored, again, SAMPLES, slack)
    if entry.blocks and _is_mean(entry):
        for i, (stored, again) in enumerate(zip(entry.blocks, _block_means(influence, record), strict=False)):
            yield from compare(f"{field}.blocks.{i}", stored, again + entry.value, SAMPLES, slack)


def _block_means(influence: NDArray[np.float64], record: Record) -> list[float]:
    ends = np.cumsum([stop - first for first, stop in record.seeds])
    return [float(part.mean()) for part in np.split(influence, ends[:-1])]


def _direction(name: str, entry: ScoreEntry) -> Iterator[Difference]:
    declared = getattr(
        known_class("metrics", entry.metric.name if entry.metric else None), "higher_is_better", None
    )
    if isinstance(declared, bool):
        stored = entry.higher_is_better
        yield from compare(f"scores.{name}.higher_is_better", stored, declared, "the metric declares")


def _version(name: str, entry: ScoreEntry) -> Iterator[Difference]:
    known = getattr(known_class("metrics", entry.metric.name if entry.metric else None), "version", None)
    stored = entry.metric.version if entry.metric else None
    if isinstance(known, int) and isinstance(stored, int) and not 1 <= stored <= known:
        yield Difference(
            f"scores.{name}.metric.version", stored, known, "the newest version of the metric is"
        )


def _is_mean(entry: ScoreEntry) -> bool:
    """Whether a score is the mean of one number a sample, so that seed blocks follow from the influences."""
    cls = known_class("metrics", entry.metric.name if entry.metric else None)
    return entry.quantiles is not None or (isinstance(cls, type) and issubclass(cls, SampleMean))
