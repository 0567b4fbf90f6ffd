"""Estimates, paired differences and Holm's correction against textbook numbers."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metrics.inference import Estimate, estimate, holm, paired_difference
from metrics.score import Score, mean_score


def test_interval_is_students() -> None:
    result = Estimate(2.0, 0.5, 5)
    # t table, 4 degrees of freedom, 97.5 %
    assert (result.low, result.high) == pytest.approx((2.0 - 2.776445 * 0.5, 2.0 + 2.776445 * 0.5), abs=1e-6)
    large = Estimate(2.0, 0.5, 10**6)
    assert large.high == pytest.approx(2.0 + 1.959966 * 0.5, abs=1e-5)


def test_equals_the_one_sample_t_test() -> None:
    values = np.random.default_rng(0).normal(0.3, 1.0, size=12)
    result, reference = mean_score(values).estimate, stats.ttest_1samp(values, 0.0)
    interval = reference.confidence_interval(0.95)
    assert result.p_value == pytest.approx(reference.pvalue, rel=1e-9)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert Estimate(-result.value, result.se, 12).p_value == pytest.approx(result.p_value, rel=1e-12)


def test_no_spread_is_certain() -> None:
    assert Estimate(0.0, 0.0, 9).p_value == 1.0
    assert Estimate(1e-9, 0.0, 9).p_value == 0.0
    assert Estimate(3.0, 0.0, 9).low == Estimate(3.0, 0.0, 9).high == 3.0


@pytest.mark.parametrize(
    ("value", "se", "count"),
    [(np.nan, 1.0, 5), (np.inf, 1.0, 5), (0.0, np.nan, 5), (0.0, np.inf, 5), (0.0, -1.0, 5), (0.0, 1.0, 1)],
)
def test_refuses_what_is_no_estimate(value: float, se: float, count: int) -> None:
    with pytest.raises(ValueError, match="is no estimate"):
        Estimate(value, se, count)


def test_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Estimate(1.0, 1.0, 5).value = 2.0  # type: ignore[misc]


def test_the_error_is_that_of_the_influence() -> None:
    influence = np.array([-3.0, -2.0, 0.0, 5.0])
    result = estimate(4.0, influence)
    assert (result.value, result.count) == (4.0, 4)
    assert result.se == pytest.approx(influence.std(ddof=1) / 2)


def test_paired_difference_cancels_what_is_shared() -> None:
    rng = np.random.default_rng(0)
    shared, alone = rng.normal(size=1000), 0.05 * rng.normal(size=1000)
    a, b = mean_score(shared + alone), mean_score(shared)
    result = paired_difference(a, b)
    assert result.value == pytest.approx(alone.mean(), abs=1e-12)
    assert result.se == pytest.approx(alone.std(ddof=1) / np.sqrt(1000), rel=1e-9)
    assert result.se < 0.1 * np.hypot(a.estimate.se, b.estimate.se)
    assert paired_difference(a, a) == Estimate(0.0, 0.0, 1000)


def test_influences_kept_as_float32_are_subtracted_in_float64() -> None:
    values = np.random.default_rng(1).normal(size=500)
    scores = [Score(0.0, each.astype(np.float32)) for each in (values, np.sin(values) / 3)]
    exact = np.subtract(scores[0].influence.astype(float), scores[1].influence.astype(float))
    assert paired_difference(*scores).se == pytest.approx(exact.std(ddof=1) / np.sqrt(500), rel=1e-12)


def test_paired_difference_refuses_other_counts() -> None:
    with pytest.raises(ValueError, match="cannot pair 3 samples with 2"):
        paired_difference(mean_score([1, 2, 3]), mean_score([1, 2]))


def test_holm_by_hand() -> None:
    # sorted .01 .03 .04 x 3 2 1 = .03 .06 .04, then never below the one before
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.05]) == [0.05]
    assert holm([]) == []


# without subnormal floats: a process that has loaded compiled kernels may flush them to 0
@given(st.lists(st.floats(0.0, 1.0, allow_subnormal=False), min_size=1, max_size=20))
def test_holm_lies_between_none_and_bonferroni(p_values: list[float]) -> None:
    for raw, adjusted in zip(p_values, holm(p_values), strict=True):
        assert raw <= adjusted <= 1.0
    assert min(holm(p_values)) == pytest.approx(min(1.0, len(p_values) * min(p_values)))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(holm(p_values))[order]) >= 0).all()


def test_holm_keeps_the_error_of_a_family() -> None:
    p = np.random.default_rng(3).uniform(size=(2000, 6))
    false_alarms = np.mean([min(holm(row.tolist())) < 0.05 for row in p])
    assert 0.035 < false_alarms < 0.065
    assert np.mean(p.min(axis=1) < 0.05) > 0.2


@pytest.mark.parametrize("bad", [[0.1, float("nan")], [-0.1], [1.1]])
def test_holm_refuses_what_is_no_p_value(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm(bad)
