"""Frechet distance of Gaussians against closed forms, other formulas and derivatives."""

import numpy as np
import pytest
import scipy.linalg

from metrics.features import FloatArray
from metrics.gaussians import distance_and_transport, frechet_distance, frechet_influence

D = 8


def covariance(seed: int, width: int = D) -> FloatArray:
    factor = np.random.default_rng(seed).normal(size=(width, 2 * width))
    return factor @ factor.T / (2 * width)


def influence(
    points: FloatArray, mu1: FloatArray, sigma1: FloatArray, mu2: FloatArray, sigma2: FloatArray
) -> FloatArray:
    transport = distance_and_transport(mu1, sigma1, mu2, sigma2)[1]
    return frechet_influence(np.array_split(points, 2), mu1, sigma1, mu2, transport)


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


@pytest.mark.parametrize("width", [4, 32, 64])
def test_equals_the_direct_formulas(width: int) -> None:
    rng = np.random.default_rng(width)
    x, y = (
        rng.normal(size=(40 * width, width)) @ rng.normal(size=(width, width)),
        rng.gamma(2.0, size=(30 * width, width)),
    )
    mu1, mu2, sigma1, sigma2 = x.mean(axis=0), y.mean(axis=0), np.cov(x.T), np.cov(y.T)
    rest = ((mu1 - mu2) ** 2).sum() + np.trace(sigma1 + sigma2)
    by_root = rest - 2 * np.trace(scipy.linalg.sqrtm(sigma1 @ sigma2)).real
    by_values = rest - 2 * np.sqrt(np.linalg.eigvals(sigma1 @ sigma2)).real.sum()
    found = frechet_distance(mu1, sigma1, mu2, sigma2)
    assert found == pytest.approx(by_root, rel=1e-8)
    assert found == pytest.approx(by_values, rel=1e-8)


def test_identical_is_zero_and_sides_may_swap() -> None:
    a, b = covariance(4), covariance(5)
    mu = np.arange(D, dtype=float)
    assert abs(frechet_distance(mu, a, mu, a)) < 1e-10
    assert frechet_distance(mu, a, -mu, b) == pytest.approx(frechet_distance(-mu, b, mu, a), rel=1e-9)


def test_the_map_moves_one_covariance_to_the_other() -> None:
    a, b = covariance(6), covariance(7)
    transport = distance_and_transport(np.zeros(D), a, np.zeros(D), b)[1]
    np.testing.assert_allclose(transport @ a @ transport, b, atol=1e-12)
    np.testing.assert_allclose(transport, transport.T, atol=1e-12)


def test_influence_is_the_derivative_towards_a_point() -> None:
    rng = np.random.default_rng(7)
    mu1, mu2, sigma1, sigma2 = rng.normal(size=D), rng.normal(size=D), covariance(8), covariance(9)
    points, step = rng.normal(size=(5, D)) * 2, 1e-6

    def towards(x: FloatArray, t: float) -> float:
        away = x - mu1
        mixed = (1 - t) * (sigma1 + t * np.outer(away, away))
        return frechet_distance(mu1 + t * away, mixed, mu2, sigma2)

    numeric = [(towards(x, step) - towards(x, -step)) / (2 * step) for x in points]
    np.testing.assert_allclose(influence(points, mu1, sigma1, mu2, sigma2), numeric, rtol=1e-5)


def test_influence_survives_dead_features() -> None:
    rng = np.random.default_rng(10)
    alive = rng.normal(size=(100, 3))
    # turned, so that the dead directions have eigenvalues of rounding noise
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    features = np.hstack([alive, np.zeros((100, 2))]) @ turn
    mu2, sigma2 = np.zeros(5), np.eye(5)
    all_five = influence(features, features.mean(axis=0), np.cov(features.T), mu2, sigma2)
    living = influence(alive, alive.mean(axis=0), np.cov(alive.T), np.zeros(3), np.eye(3))
    np.testing.assert_allclose(all_five, living, atol=1e-9)


def test_refuses_what_does_not_fit() -> None:
    mu, sigma = np.zeros(3), np.eye(3)
    with pytest.raises(ValueError, match="do not fit"):
        frechet_distance(mu, sigma, mu, np.eye(4))
    with pytest.raises(ValueError, match="do not fit"):
        frechet_distance(mu, sigma, np.zeros(4), sigma)
    with pytest.raises(ValueError, match="NaN or Inf"):
        frechet_distance(mu, sigma, mu, sigma * np.nan)
