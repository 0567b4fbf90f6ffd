"""Precision and recall against their definition, written out, and the jackknife, sample by sample."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from metrics import neighbours
from metrics.features import Features, FloatArray
from metrics.neighbours import distance_tiles, nearest
from metrics.precision_recall import Precision, Recall
from metrics.score import Score

Kind = type[Precision] | type[Recall]


def rows(count: int, seed: int = 0, width: int = 3) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(count, width))


def score(kind: Kind, x: Features, real: Features, k: int = 3) -> Score:
    metric = kind(k)
    metric.fit(real)
    return metric.score(x)


def covered(of: Features, by: Features, k: int = 3) -> float:
    """Share of `of` inside a ball around one of `by` that reaches to its k-th neighbour."""
    radii = np.sort(cdist(by, by), axis=1)[:, k]
    return float((cdist(of, by) <= radii).any(axis=1).mean())


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("kind", [Precision, Recall])
def test_equals_the_definition(kind: Kind, k: int) -> None:
    x, y = rows(70, 1, 6) * 0.8 + 0.6, rows(90, 2, 6)
    expected = covered(x, y, k) if kind is Precision else covered(y, x, k)
    assert 0.1 < expected < 0.99
    assert score(kind, x, y, k).value == pytest.approx(expected, abs=1e-12)


def test_four_points_on_a_line() -> None:
    real = np.array([[0.0], [1.0], [2.0], [3.0]])
    x = np.array([[-1.1], [-0.9], [1.5], [9.0]])
    # k = 1: every real ball has the radius 1; the samples' are 0.2, 0.2, 2.4, 7.5
    assert score(Precision, x, real, 1).value == 0.5
    assert score(Recall, x, real, 1).value == 1.0
    assert score(Precision, x, real, 1).influence.tolist() == [-0.5, 0.5, 0.5, -0.5]
    np.testing.assert_allclose(score(Recall, x, real, 1).influence, 0.0)  # all are covered at least twice


def test_a_ball_holds_what_lies_on_its_edge() -> None:
    real = np.array([[0.0], [1.0], [2.0], [3.0]])  # k = 1: balls of radius 1
    assert score(Precision, np.array([[-1.0], [9.0]]), real, 1).value == 0.5


@pytest.mark.parametrize(("k", "seed"), [(1, 0), (1, 1), (2, 2), (3, 3), (3, 4), (5, 5)])
def test_recalls_influence_is_the_jackknife(k: int, seed: int) -> None:
    x, y = rows(40, seed, 2) * 0.7, rows(60, seed + 50, 2) * 1.5
    rest = np.array([covered(y, np.delete(x, i, axis=0), k) for i in range(40)])
    result = score(Recall, x, y, k)
    assert rest.std() > 0
    np.testing.assert_allclose(result.influence, 39 * (rest.mean() - rest), atol=1e-10)


def test_two_balls_that_widen_over_one_real_sample_cover_it_once() -> None:
    x = np.array([[-1.0, 0.0], [0.0, 0.0], [1.01, 0.0]])
    y = np.array([[0.0, 1.5], [9.0, 9.0], [9.0, -9.0], [-9.0, 9.0]])
    # without the middle one both others reach the first real sample: recall 0, 1/4, 0
    result = score(Recall, x, y, 1)
    assert result.value == 0.0
    np.testing.assert_allclose(result.influence, 2 * (np.array([1, 0, 1]) / 4 - 1 / 6), atol=1e-12)


def test_recall_of_doubled_samples_is_the_jackknife_too() -> None:
    x = np.repeat(rows(15, 6, 2), 2, axis=0)
    y = np.concatenate([rows(40, 7, 2), x[:4]])
    rest = np.array([covered(y, np.delete(x, i, axis=0), 1) for i in range(30)])
    np.testing.assert_allclose(score(Recall, x, y, 1).influence, 29 * (rest.mean() - rest), atol=1e-10)


@pytest.mark.parametrize("kind", [Precision, Recall])
def test_tiles_and_order_do_not_matter(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows(50, 8).astype(np.float32), rows(70, 9)
    order = np.random.default_rng(0).permutation(50)
    whole, shuffled = score(kind, x, y), score(kind, x[order], y)
    assert shuffled.value == whole.value
    np.testing.assert_allclose(shuffled.influence, whole.influence[order], atol=1e-12)
    monkeypatch.setattr(neighbours, "PIECE", 500)
    tiled = score(kind, x, y)
    assert tiled.value == whole.value
    np.testing.assert_allclose(tiled.influence, whole.influence, atol=1e-12)


def test_distances_keep_their_digits_far_from_the_origin() -> None:
    x = rows(20, 10) + 1e6
    tile = np.concatenate([tile for _, tile in distance_tiles(x, x)])
    np.testing.assert_allclose(tile, cdist(x, x, "sqeuclidean"), atol=1e-6)
    distances, places = nearest(x, 4)
    expected = np.argsort(cdist(x, x), axis=1, kind="stable")[:, 1:5]
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_allclose(distances, np.sort(cdist(x, x, "sqeuclidean"), axis=1)[:, 1:5], atol=1e-6)


def test_ends() -> None:
    x = rows(30, 11)
    for kind in (Precision, Recall):
        assert score(kind, x, x).value == 1.0
        assert score(kind, x + 100.0, x).value == 0.0


def test_recall_says_that_its_intervals_are_wide() -> None:
    assert "overstates" in (score(Recall, rows(20), rows(20, 1)).flag or "")
    assert "overstates" not in (score(Precision, rows(20), rows(20, 1)).flag or "")


@pytest.mark.parametrize("count", [2, 3, 4])
def test_too_few_samples_for_the_neighbours_are_flagged(count: int) -> None:
    result = score(Recall, rows(count), rows(20, 1))
    assert result.flag == f"N={count} is too few for balls of k=3 neighbours"
    assert 0 <= result.value <= 1


def test_recall_rises_with_samples_and_precision_does_not() -> None:
    real = rows(300, 12, 8)
    sizes = [[score(kind, rows(n, 13, 8), real).value for n in (50, 800)] for kind in (Recall, Precision)]
    assert sizes[0][1] > sizes[0][0] + 0.05
    assert sizes[1][1] == pytest.approx(sizes[1][0], abs=0.1)


@pytest.mark.parametrize("kind", [Precision, Recall])
def test_refuses_bad_input(kind: Kind) -> None:
    name = kind.__name__
    with pytest.raises(ValueError, match="k=0 neighbours"):
        kind(0)
    with pytest.raises(ValueError, match=f"{name} has no real side: give its node a `real` file"):
        kind().score(rows(5))
    with pytest.raises(ValueError, match="width 4, the real samples 3"):
        score(kind, rows(5, width=4), rows(5))
    with pytest.raises(ValueError, match=f"{name} needs at least 2 samples, has 1"):
        score(kind, rows(1), rows(5))
    with pytest.raises(ValueError, match=f"the real side of {name} needs at least 4 samples, has 3"):
        score(kind, rows(5), rows(3))
    with pytest.raises(ValueError, match="5 of 5 rows of features hold NaN"):
        score(kind, rows(5) * np.nan, rows(5))
    with pytest.raises(ValueError, match="5 of 5 rows of features of real samples"):
        score(kind, rows(5), rows(5) * np.inf)
