"""Frechet distance against closed forms, and its influence against derivatives and a simulation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from metrics.frechet import FrechetDistance, frechet_distance, frechet_influence
from metrics.moments import Moments
from metrics.score import FloatArray, Score, paired_difference

D = 8


def covariance(seed: int, width: int = D) -> FloatArray:
    factor = np.random.default_rng(seed).normal(size=(width, 2 * width))
    return factor @ factor.T / (2 * width)


def write_reference(folder: Path, mu: FloatArray, sigma: FloatArray, n: int = 10000) -> str:
    np.savez(folder / "reference.npz", mu=mu, sigma=sigma, n=n)
    return str(folder / "reference.npz")


def score(reference: str, features: FloatArray, batch: int = 100) -> Score:
    metric = FrechetDistance(reference)
    for rows in torch.from_numpy(features).split(batch):
        metric.update(rows)
    return metric.compute()


def test_diagonal_gaussians() -> None:
    mu1, mu2 = np.array([0.0, 1.0, -2.0]), np.array([3.0, 1.0, 0.5])
    sd1, sd2 = np.array([1.0, 2.0, 0.5]), np.array([0.1, 2.5, 4.0])
    expected = ((mu1 - mu2) ** 2).sum() + ((sd1 - sd2) ** 2).sum()
    assert frechet_distance(mu1, np.diag(sd1**2), mu2, np.diag(sd2**2)) == pytest.approx(expected, rel=1e-9)


def test_covariances_that_commute() -> None:
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(D, D)))[0]
    sd1, sd2 = np.linspace(0.2, 3.0, D), np.linspace(2.0, 0.1, D)
    sigma1, sigma2 = (axes * sd1**2) @ axes.T, (axes * sd2**2) @ axes.T
    expected = ((sd1 - sd2) ** 2).sum()
    assert frechet_distance(np.zeros(D), sigma1, np.zeros(D), sigma2) == pytest.approx(expected, rel=1e-9)


def test_two_by_two_that_do_not_commute() -> None:
    a, b = np.array([[2.0, 0.8], [0.8, 1.0]]), np.array([[1.0, -0.5], [-0.5, 3.0]])
    cross = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    expected = np.trace(a + b) - 2 * cross
    assert frechet_distance(np.zeros(2), a, np.zeros(2), b) == pytest.approx(expected, rel=1e-9)


def test_a_linear_map_of_gaussians_is_its_own_transport() -> None:
    # y = T x + t with T symmetric positive is optimal, so the distance is E |x - y|^2
    sigma, transport, shift = covariance(1), covariance(2) + np.eye(D), np.arange(D, dtype=float)
    mu = np.ones(D)
    away = transport - np.eye(D)
    expected = ((away @ mu + shift) ** 2).sum() + np.trace(away @ sigma @ away)
    image = transport @ sigma @ transport
    assert frechet_distance(mu, sigma, transport @ mu + shift, image) == pytest.approx(expected, rel=1e-9)


def test_fewer_samples_than_dimensions_agree_with_the_nuclear_norm() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(5, D)), rng.normal(size=(6, D)) + 1.0
    cx, cy = x - x.mean(axis=0), y - y.mean(axis=0)
    cross = np.linalg.norm(cx @ cy.T, "nuc") / np.sqrt(4 * 5)
    gap = x.mean(axis=0) - y.mean(axis=0)
    expected = gap @ gap + (cx**2).sum() / 4 + (cy**2).sum() / 5 - 2 * cross
    found = frechet_distance(x.mean(axis=0), np.cov(x.T), y.mean(axis=0), np.cov(y.T))
    # roots of rounding errors, sqrt(1e-16), limit this case
    assert found == pytest.approx(expected, rel=1e-6)


def test_identical_is_zero_and_sides_may_swap() -> None:
    a, b = covariance(4), covariance(5)
    mu = np.arange(D, dtype=float)
    assert abs(frechet_distance(mu, a, mu, a)) < 1e-10
    assert frechet_distance(mu, a, -mu, b) == pytest.approx(frechet_distance(-mu, b, mu, a), rel=1e-9)


def test_metric_of_its_own_reference_is_zero(tmp_path: Path) -> None:
    features = np.random.default_rng(6).normal(size=(200, D))
    reference = write_reference(tmp_path, features.mean(axis=0), np.cov(features.T), 200)
    result = score(reference, features)
    assert abs(result.value) < 1e-10
    assert np.abs(result.influence).max() < 1e-6


def test_influence_is_the_derivative_towards_a_point() -> None:
    rng = np.random.default_rng(7)
    mu1, mu2, sigma1, sigma2 = rng.normal(size=D), rng.normal(size=D), covariance(8), covariance(9)
    points, step = rng.normal(size=(5, D)) * 2, 1e-6

    def towards(x: FloatArray, t: float) -> float:
        away = x - mu1
        mixed = (1 - t) * (sigma1 + t * np.outer(away, away))
        return frechet_distance(mu1 + t * away, mixed, mu2, sigma2)

    numeric = [(towards(x, step) - towards(x, -step)) / (2 * step) for x in points]
    np.testing.assert_allclose(frechet_influence(points, mu1, sigma1, mu2, sigma2), numeric, rtol=1e-5)


def test_influence_survives_dead_features() -> None:
    rng = np.random.default_rng(10)
    alive = rng.normal(size=(100, 3))
    # turned, so that the dead directions have eigenvalues of rounding noise
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    features = np.hstack([alive, np.zeros((100, 2))]) @ turn
    mu2, sigma2 = np.zeros(5), np.eye(5)
    all_five = frechet_influence(features, features.mean(axis=0), np.cov(features.T), mu2, sigma2)
    living = frechet_influence(alive, alive.mean(axis=0), np.cov(alive.T), np.zeros(3), np.eye(3))
    np.testing.assert_allclose(all_five, living, atol=1e-9)


def test_standard_error_is_the_spread_over_repeats(tmp_path: Path) -> None:
    sigma2 = covariance(11)
    reference = write_reference(tmp_path, np.zeros(D), sigma2)
    root = np.linalg.cholesky(covariance(12))
    rng = np.random.default_rng(13)
    results, drifts, unpaired = [], [], []
    for _ in range(200):
        x = rng.normal(size=(500, D)) @ root.T + 0.3
        a, b = score(reference, x, 500), score(reference, 1.02 * x + 0.02 * rng.normal(size=x.shape), 500)
        results.append((a.value, a.se))
        drifts.append(paired_difference(b, a))
        unpaired.append(np.hypot(a.se, b.se))
    values, errors = np.array(results).T
    assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.15)
    differences, paired = np.array(drifts).T
    assert paired.mean() == pytest.approx(differences.std(ddof=1), rel=0.15)
    assert paired.mean() < 0.2 * np.mean(unpaired)


def test_batches_and_order_do_not_matter(tmp_path: Path) -> None:
    reference = write_reference(tmp_path, np.zeros(D), covariance(14))
    features = np.random.default_rng(15).normal(size=(120, D))
    order = np.random.default_rng(16).permutation(120)
    whole, pieces, shuffled = (
        score(reference, features),
        score(reference, features, 7),
        score(reference, features[order]),
    )
    assert pieces.value == pytest.approx(whole.value, rel=1e-12)
    assert shuffled.value == pytest.approx(whole.value, rel=1e-12)
    np.testing.assert_allclose(pieces.influence, whole.influence, atol=1e-10)
    np.testing.assert_allclose(shuffled.influence, whole.influence[order], atol=1e-10)


def test_the_metric_is_the_function_of_the_moments(tmp_path: Path) -> None:
    sigma2 = covariance(17)
    features = np.random.default_rng(18).normal(size=(64, D))
    moments = Moments()
    moments.update(torch.from_numpy(features))
    result = score(write_reference(tmp_path, np.ones(D), sigma2), features)
    assert result.value == pytest.approx(
        frechet_distance(moments.mean, moments.covariance, np.ones(D), sigma2), rel=1e-12
    )
    assert len(result.influence) == 64
    assert abs(result.influence.mean()) < 0.1 * result.influence.std()


def test_flags_few_samples(tmp_path: Path) -> None:
    reference = write_reference(tmp_path, np.zeros(D), np.eye(D))
    features = np.random.default_rng(19).normal(size=(160, D))
    assert score(reference, features[:159]).flag == "N=159 is small against d=8"
    assert score(reference, features).flag is None


def test_keeps_a_copy_of_the_features(tmp_path: Path) -> None:
    reference = write_reference(tmp_path, np.zeros(D), np.eye(D))
    features = torch.from_numpy(np.random.default_rng(20).normal(size=(40, D)))
    metric = FrechetDistance(reference)
    metric.update(features)
    before = metric.compute().influence
    features.zero_()
    np.testing.assert_array_equal(metric.compute().influence, before)


def test_refuses_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no reference statistics"):
        FrechetDistance(str(tmp_path / "none.npz"))
    metric = FrechetDistance(write_reference(tmp_path, np.zeros(D), np.eye(D)))
    with pytest.raises(ValueError, match=r"width 5, the reference statistics .*reference\.npz 8"):
        metric.update(torch.zeros(4, 5))
    with pytest.raises(ValueError, match="1 of 4 rows"):
        metric.update(torch.tensor([[float("nan")] * D, [0.0] * D, [1.0] * D, [2.0] * D]))
    with pytest.raises(ValueError, match="have 0"):
        metric.compute()
    metric.update(torch.ones(1, D))
    with pytest.raises(ValueError, match="have 1"):
        metric.compute()


def test_functions_refuse_what_does_not_fit() -> None:
    mu, sigma = np.zeros(3), np.eye(3)
    with pytest.raises(ValueError, match="do not fit"):
        frechet_distance(mu, sigma, mu, np.eye(4))
    with pytest.raises(ValueError, match="do not fit"):
        frechet_distance(mu, sigma, np.zeros(4), sigma)
    with pytest.raises(ValueError, match="NaN or Inf"):
        frechet_distance(mu, sigma, mu, sigma * np.nan)
    with pytest.raises(ValueError, match=r"must be \[N, 3\]"):
        frechet_influence(np.zeros((5, 4)), mu, sigma, mu, sigma)
