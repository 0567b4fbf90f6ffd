"""Kernel distance against its definition, and its influence against the jackknife."""

import numpy as np
import pytest

from metrics import kid
from metrics.features import Features, FloatArray
from metrics.kid import KernelDistance
from metrics.score import Score

D = 6


def rows(count: int, seed: int = 0, width: int = D, shift: float = 0.0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(count, width)) + shift


def score(x: Features, real: Features) -> Score:
    metric = KernelDistance()
    metric.fit(real)
    return metric.score(x)


def mmd(x: Features, y: Features) -> float:
    """The definition, pair by pair."""

    def kernel(a: Features, b: Features) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    within = [
        np.mean([kernel(a, b) for i, a in enumerate(side) for j, b in enumerate(side) if i != j])
        for side in (x, y)
    ]
    return float(sum(within) - 2 * np.mean([kernel(a, b) for a in x for b in y]))


@pytest.mark.parametrize(("count", "real_count"), [(12, 17), (2, 2), (17, 3)])
def test_equals_the_definition(count: int, real_count: int) -> None:
    x, y = rows(count, 1), rows(real_count, 2, shift=0.5)
    assert score(x, y).value == pytest.approx(mmd(x, y), rel=1e-12)
    assert score(y, x).value == pytest.approx(mmd(x, y), rel=1e-12)


def test_tiles_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows(41, 3), rows(53, 4, shift=0.5)
    whole = score(x, y)
    monkeypatch.setattr(kid, "PIECE", 7**2)
    tiled = score(x, y)
    assert tiled.value == pytest.approx(whole.value, rel=1e-12)
    np.testing.assert_allclose(tiled.influence, whole.influence, atol=1e-12)


def test_order_and_number_format_do_not_matter() -> None:
    x, y = rows(60, 5).astype(np.float32), rows(80, 6, shift=0.5)
    order = np.random.default_rng(0).permutation(60)
    whole, shuffled = score(x, y), score(x[order], y)
    assert shuffled.value == pytest.approx(whole.value, rel=1e-10)
    np.testing.assert_allclose(shuffled.influence, whole.influence[order], atol=1e-10)
    assert score(x.astype(np.float64), y).value == pytest.approx(whole.value, rel=1e-14)


def test_is_unbiased_at_few_samples() -> None:
    real = rows(400, 7)
    found = [score(rows(5, seed), real).value for seed in range(100, 600)]
    # what is left of the real side's own luck is the mean over many samples
    expected = score(rows(4000, 8), real).value
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / 500**0.5)


def test_influence_is_the_jackknife() -> None:
    x, y = rows(150, 9), rows(200, 10, shift=0.7)
    result = score(x, y)
    rest = np.array([score(np.delete(x, i, axis=0), y).value for i in range(150)])
    jackknife = 149 * (rest.mean() - rest)
    np.testing.assert_allclose(result.influence, jackknife, atol=0.03 * jackknife.std())
    assert abs(result.influence.mean()) < 1e-12


def test_refuses_bad_input() -> None:
    with pytest.raises(ValueError, match="no real side: give its node a `real` file"):
        KernelDistance().score(rows(5))
    with pytest.raises(ValueError, match="width 5, the real samples 6"):
        score(rows(5, width=5), rows(5))
    with pytest.raises(ValueError, match="KernelDistance needs at least 2 samples, has 1"):
        score(rows(1), rows(5))
    with pytest.raises(ValueError, match="the real side of KernelDistance needs at least 2 samples, has 1"):
        score(rows(5), rows(1))
    with pytest.raises(ValueError, match="5 of 5 rows of features hold NaN"):
        score(rows(5) * np.nan, rows(5))
    with pytest.raises(ValueError, match="5 of 5 rows of features of real samples"):
        score(rows(5), rows(5) * np.inf)
