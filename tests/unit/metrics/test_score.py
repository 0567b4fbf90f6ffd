"""Scores: means over samples, tails, and what is no score."""

import dataclasses

import numpy as np
import pytest

from metrics.score import LEVELS, Score, mean_score


def test_mean_score_has_the_textbook_error() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    score = mean_score(values)
    assert score.value == 4.0
    assert score.influence.tolist() == [-3.0, -2.0, 0.0, 5.0]
    assert score.estimate.se == pytest.approx(values.std(ddof=1) / 2)
    assert (score.estimate.value, score.estimate.count) == (4.0, 4)
    assert score.flag is None and score.quantiles is None


def test_quantiles_are_of_the_samples() -> None:
    score = mean_score(np.arange(101.0)[::-1], with_quantiles=True)
    assert score.quantiles == pytest.approx(
        {"0.01": 1.0, "0.05": 5.0, "0.5": 50.0, "0.95": 95.0, "0.99": 99.0}
    )
    assert score.quantiles is not None and tuple(score.quantiles) == LEVELS


def test_quantiles_between_two_samples_are_interpolated() -> None:
    score = mean_score(np.array([0.0, 1.0, 3.0, 10.0]), with_quantiles=True)
    assert score.quantiles is not None
    assert [score.quantiles[level] for level in ("0.05", "0.5", "0.95")] == pytest.approx([0.15, 2.0, 8.95])


def test_float32_is_averaged_in_float64() -> None:
    values = np.full(1001, 0.1, dtype=np.float32)
    assert mean_score(values).value == pytest.approx(float(np.float32(0.1)), rel=1e-14)


def test_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        mean_score([1.0, 2.0]).value = 3.0  # type: ignore[misc]


def test_refuses_what_is_no_score() -> None:
    for influence in (np.zeros(1), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="at least 2 samples"):
            Score(1.0, influence)
    for value, influence in ((float("nan"), np.zeros(3)), (0.0, np.array([0.0, np.inf]))):
        with pytest.raises(ValueError, match="not finite"):
            Score(value, influence)
    with pytest.raises(ValueError, match="1 of 2 values are NaN or Inf"):
        mean_score([1.0, float("inf")])
    with pytest.raises(ValueError, match="no samples"):
        mean_score([])
    with pytest.raises(ValueError, match=r"\[N\], not \[3, 1\]"):
        mean_score(np.zeros((3, 1)))


def test_samples_that_all_have_one_value_are_flagged_but_for_distances() -> None:
    flag = mean_score(np.ones(8)).flag
    assert flag is not None and "all 8 samples" in flag
    assert mean_score(np.ones(8), with_quantiles=True).flag is None
