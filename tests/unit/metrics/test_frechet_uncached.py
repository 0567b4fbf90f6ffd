"""The Frechet distance to the uncached samples: its value, its influence by pairs, and what is refused."""

import numpy as np
import pytest
import torch

from metrics.frechet import FrechetDistance
from metrics.frechet_uncached import FrechetToUncached
from metrics.score import Score


def pairs(count: int, width: int, seed: int, change: float = 0.3) -> np.ndarray:
    """Features of uncached samples and of samples that differ a little from them, [N, 2, d]."""
    rng = np.random.default_rng(seed)
    baseline = rng.normal(size=(count, width))
    samples = baseline + change * rng.normal(size=(count, width)) + 0.1
    return np.stack([samples, baseline], axis=1)


def scored(rows: np.ndarray) -> Score:
    return FrechetToUncached().score(rows)


@pytest.mark.parametrize(("count", "width"), [(200, 8), (12, 30)])
def test_is_the_frechet_distance_of_the_two_sides(count: int, width: int) -> None:
    rows = pairs(count, width, seed=1)
    metric = FrechetDistance()
    metric.fit(rows[:, 1])
    assert scored(rows).value == pytest.approx(metric.score(rows[:, 0]).value, rel=1e-12)
    assert scored(rows[:, ::-1]).value == pytest.approx(scored(rows).value, rel=1e-8)
    assert ("is small against" in (scored(rows).flag or "")) == (count < 20 * width)


def test_is_0_for_the_same_samples() -> None:
    rows = pairs(50, 8, seed=2, change=0.0)
    rows[:, 0] = rows[:, 1]
    assert abs(scored(rows).value) < 1e-10 and np.abs(scored(rows).influence).max() < 1e-6


@pytest.mark.parametrize(("count", "width"), [(150, 4), (40, 60)])
def test_the_standard_error_is_that_of_leaving_pairs_out(count: int, width: int) -> None:
    """With fewer samples than features leaving one out takes a direction away: the two agree less there."""
    rows = pairs(count, width, seed=3, change=1.0)
    left_out = np.array([scored(np.delete(rows, i, axis=0)).value for i in range(count)])
    jackknife = np.sqrt((count - 1) / count * np.sum((left_out - left_out.mean()) ** 2))
    assert scored(rows).estimate.se == pytest.approx(jackknife, rel=0.05 if count > width else 0.4)


def test_sides_that_are_no_pairs_are_refused() -> None:
    metric = FrechetToUncached()
    assert metric.per_sample(torch.zeros(3, 4), torch.ones(3, 4)).shape == (3, 2, 4)
    with pytest.raises(ValueError, match=r"features \[3, 4\] and baseline\.features \[2, 4\] must both be"):
        metric.per_sample(torch.zeros(3, 4), torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"pairs of features must be \[N, 2, d\], not \[5, 4\]"):
        metric.score(np.zeros((5, 4)))
    broken = pairs(30, 4, seed=4)
    broken[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"1 of 30 rows of .* hold NaN or Inf"):
        metric.score(broken)
    with pytest.raises(ValueError, match="needs at least 2"):
        metric.score(pairs(1, 4, seed=5))


def test_what_a_finite_number_of_pairs_makes_of_it_is_said() -> None:
    """Sets of one distribution whose pairs lie apart: all of the distance is of order 1 / N."""
    r = np.random.default_rng(0)
    baseline = r.normal(size=(512, 16))
    samples = 0.9 * baseline + np.sqrt(1 - 0.81) * r.normal(size=(512, 16))
    metric = FrechetToUncached()
    flag = metric.score(np.stack([samples, baseline], 1)).flag
    assert flag is not None and flag.endswith("comes of N=512 alone: the interval lies too high")
    far = metric.score(np.stack([baseline * 3 + 5, baseline], 1))
    assert far.flag is None or int(flag.split()[1]) > 5 * int(far.flag.split()[1])
    assert metric.score(np.stack([baseline, baseline], 1)).flag is None


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.15, 0.25])
def test_the_caution_says_how_much_halves_of_the_pairs_exceed_the_whole(shift: float) -> None:
    """It is there from half the standard error on; more than all of the distance is called all of it."""
    r = np.random.default_rng(3)
    baseline, noise = r.normal(size=(200, 4)), r.normal(size=(200, 4))
    rows = np.stack([0.9 * baseline + np.sqrt(1 - 0.81) * noise + shift, baseline], axis=1)

    def distance(pairs: np.ndarray) -> float:
        metric = FrechetDistance()
        metric.fit(pairs[:, 1])
        return metric.score(pairs[:, 0]).value

    score = scored(rows)
    excess = (distance(rows[0::2]) + distance(rows[1::2])) / 2 - score.value
    if excess > score.estimate.se / 2:
        share = min(100, round(100 * excess / score.value))
        assert score.flag == f"about {share} % of it comes of N=200 alone: the interval lies too high"
    else:
        assert score.flag is None and shift == 0.25
