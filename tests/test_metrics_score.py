"""Scores: standard errors, pairs and intervals."""

import dataclasses

import numpy as np
import pytest

from metrics.score import Score, interval, mean_score, paired_difference


def test_mean_score_has_the_textbook_error() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    score = mean_score(values)
    assert score.value == 4.0
    assert score.influence.tolist() == [-3.0, -2.0, 0.0, 5.0]
    assert score.se == pytest.approx(values.std(ddof=1) / 2)
    assert score.flag is None


def test_paired_difference_cancels_what_is_shared() -> None:
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=1000), 0.05 * rng.normal(size=1000)
    a, b = mean_score(shared + own), mean_score(shared)
    value, se = paired_difference(a, b)
    assert value == pytest.approx(own.mean(), abs=1e-12)
    assert se == pytest.approx(own.std(ddof=1) / np.sqrt(1000), rel=1e-9)
    assert se < 0.1 * np.hypot(a.se, b.se)
    assert paired_difference(a, a) == (0.0, 0.0)


def test_paired_difference_refuses_other_counts() -> None:
    with pytest.raises(ValueError, match="cannot pair 3 samples with 2"):
        paired_difference(mean_score([1, 2, 3]), mean_score([1, 2]))


def test_interval_is_95_percent() -> None:
    assert interval(2.0, 0.5) == pytest.approx((1.02, 2.98))


def test_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        mean_score([1.0, 2.0]).value = 3.0  # type: ignore[misc]


def test_refuses_what_is_no_score() -> None:
    for influence in (np.zeros(1), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="at least 2 samples"):
            Score(1.0, influence)
    with pytest.raises(ValueError, match="not finite"):
        Score(float("nan"), np.zeros(3))
    with pytest.raises(ValueError, match="1 of 2 values are NaN or Inf"):
        mean_score([1.0, float("inf")])
    with pytest.raises(ValueError, match="no samples"):
        mean_score([])
