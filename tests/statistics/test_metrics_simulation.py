"""Standard errors and intervals over thousands of repeats, where the truth is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metrics.features import Features, FloatArray
from metrics.frechet import FrechetDistance
from metrics.frechet_extrapolated import FrechetExtrapolated
from metrics.inference import Estimate, paired_difference
from metrics.kid import KernelDistance
from metrics.precision_recall import Recall
from metrics.score import Score

D, DRAWS = 8, 2000


def repeated(score: Callable[[Features], Score], count: int, draws: int) -> tuple[list[Estimate], ...]:
    """Of each draw: policy a, policy b on the same seeds, and their paired difference."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(D, D)))[0] * np.linspace(0.6, 1.4, D)
    found: list[tuple[Estimate, ...]] = []
    for _ in range(draws):
        x = rng.normal(size=(count, D)) @ turn + 0.3
        y = 1.04 * x + 0.1 * rng.normal(size=x.shape)
        a, b = score(x), score(y)
        found.append((a.estimate, b.estimate, paired_difference(b, a)))
    return tuple(list(each) for each in zip(*found, strict=True))


def error_ratio(estimates: list[Estimate]) -> float:
    """Mean standard error over the true spread."""
    return float(np.mean([e.se for e in estimates]) / np.std([e.value for e in estimates], ddof=1))


def coverage(estimates: list[Estimate]) -> float:
    """Share of intervals that hold the expected value at this N."""
    truth = np.mean([e.value for e in estimates])
    return float(np.mean([e.low <= truth <= e.high for e in estimates]))


def assert_calibrated(estimates: list[Estimate]) -> None:
    assert error_ratio(estimates) == pytest.approx(1.0, abs=0.1)
    assert 0.93 <= coverage(estimates) <= 0.97


@pytest.fixture(scope="module")
def real() -> FloatArray:
    return np.random.default_rng(1).normal(size=(1000, D))


def test_frechet(real: Features, tmp_path: Path) -> None:
    np.savez(tmp_path / "reference.npz", mu=real.mean(axis=0), sigma=np.cov(real.T), n=len(real))
    metric = FrechetDistance(str(tmp_path / "reference.npz"))
    a, b, difference = repeated(metric.score, 400, DRAWS)
    for estimates in (a, b, difference):
        assert_calibrated(estimates)
    assert np.mean([e.se for e in difference]) < 0.3 * np.mean([e.se for e in a])


def test_kernel_distance(real: Features) -> None:
    metric = KernelDistance()
    metric.fit(real[:150])
    a, _, difference = repeated(metric.score, 150, DRAWS)
    assert_calibrated(a)
    assert_calibrated(difference)


def test_recalls_intervals_are_too_wide_as_it_says(real: Features) -> None:
    metric = Recall()
    metric.fit(real[:200])
    a, _, difference = repeated(metric.score, 100, 400)
    assert 1.2 < error_ratio(a) < 2.0 and coverage(a) > 0.97
    assert 2.0 < error_ratio(difference) < 3.2


def test_extrapolated(real: Features) -> None:
    metric = FrechetExtrapolated()
    metric.fit(real)
    a, _, difference = repeated(metric.score, 120, 120)
    # the spread over 120 draws is itself known to 6.5 %
    assert error_ratio(a) == pytest.approx(1.0, abs=0.25)
    assert error_ratio(difference) == pytest.approx(1.0, abs=0.25)
