"""The Frechet metrics: few samples and many, references of both kinds, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from metrics import rows as metrics_rows
from metrics.features import Features, FloatArray
from metrics.frechet import FrechetDistance
from metrics.frechet_extrapolated import FrechetExtrapolated
from metrics.frechet_spatial import SpatialFrechetDistance
from metrics.gaussians import frechet_distance
from metrics.moments import Moments

D = 8


def rows(count: int, width: int = D, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) / width**0.5 + rng.normal(
        size=width
    )


def file_of(folder: Path, real: Features, **changes: Features) -> str:
    arrays = {"mu": real.mean(axis=0), "sigma": np.cov(real.T), "n": len(real), **changes}
    np.savez(folder / "reference.npz", **arrays)
    return str(folder / "reference.npz")


def fitted(real: Features) -> FrechetDistance:
    metric = FrechetDistance()
    metric.fit(real)
    return metric


def direct(x: Features, y: Features) -> float:
    """By the eigenvalues of the product, as torchmetrics and torch-fidelity do it."""
    sigma1, sigma2 = np.cov(x.T), np.cov(y.T)
    gap = x.mean(axis=0) - y.mean(axis=0)
    cross = np.sqrt(np.linalg.eigvals(sigma1 @ sigma2).astype(complex)).real.sum()
    return float(gap @ gap + np.trace(sigma1 + sigma2) - 2 * cross)


@pytest.mark.parametrize(
    ("count", "real_count", "within"),
    [(300, 400, 1e-8), (65, 70, 1e-8), (40, 400, 1e-6), (40, 30, 1e-6), (300, 30, 1e-6), (2, 2, 1e-6)],
)
def test_equals_the_direct_formula(tmp_path: Path, count: int, real_count: int, within: float) -> None:
    x, y = rows(count, 64, seed=1), rows(real_count, 64, seed=2)
    expected = direct(x, y)
    by_rows, by_file = fitted(y).score(x), FrechetDistance(file_of(tmp_path, y)).score(x)
    assert by_rows.value == pytest.approx(expected, rel=within)
    assert by_file.value == pytest.approx(expected, rel=within)
    np.testing.assert_allclose(by_file.influence, by_rows.influence, atol=1e-5 * by_rows.influence.std())


def test_few_samples_have_the_nuclear_norm() -> None:
    x, y = rows(5, 64, seed=1), rows(6, 64, seed=2)
    cx, cy = x - x.mean(axis=0), y - y.mean(axis=0)
    cross = np.linalg.norm(cx @ cy.T, "nuc") / np.sqrt(4 * 5)
    gap = x.mean(axis=0) - y.mean(axis=0)
    expected = gap @ gap + (cx**2).sum() / 4 + (cy**2).sum() / 5 - 2 * cross
    assert fitted(y).score(x).value == pytest.approx(expected, rel=1e-12)


def test_both_ways_agree_where_samples_begin_to_fill_the_space(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows(40, 12, seed=3), rows(200, 12, seed=4)
    dense = fitted(y).score(x)
    # 30 features that are always 0 change nothing, but make N < d
    pad = [np.hstack([each, np.zeros((len(each), 30))]) for each in (x, y)]
    few = fitted(pad[1]).score(pad[0])
    assert few.value == pytest.approx(dense.value, rel=1e-10)
    np.testing.assert_allclose(few.influence, dense.influence, atol=1e-9)
    monkeypatch.setattr(metrics_rows, "PIECE", 42 * 9)  # the real side in pieces of 9
    np.testing.assert_allclose(fitted(pad[1]).score(pad[0]).influence, few.influence, atol=1e-9)


@pytest.mark.parametrize("count", [12, 60])
def test_influence_is_the_derivative_towards_more_weight(count: int) -> None:
    x, y, step = rows(count, 24, seed=5), rows(100, 24, seed=6), 1e-5
    metric = fitted(y)

    def weighted(i: int, t: float) -> float:
        w = np.full(count, (1 - t) / count)
        w[i] += t
        mean = w @ x
        own = (x - mean) * np.sqrt(w * count / (count - 1))[:, None]
        cy = (y - y.mean(axis=0)) / np.sqrt(len(y) - 1)
        gap = mean - y.mean(axis=0)
        return float(gap @ gap + (own**2).sum() + (cy**2).sum() - 2 * np.linalg.norm(own @ cy.T, "nuc"))

    numeric = np.array([(weighted(i, step) - weighted(i, -step)) / (2 * step) for i in range(8)])
    found = metric.score(x)
    assert weighted(0, 0.0) == pytest.approx(found.value, rel=1e-9)
    # sigma divides by N - 1, so the derivative of all but the means' term is that much larger; then the
    # metric's influences are centred, so it is the differences that must agree
    linear = 2 * (x - x.mean(axis=0)) @ (x.mean(axis=0) - y.mean(axis=0))
    exact = ((found.influence - linear) * count / (count - 1) + linear)[:8]
    np.testing.assert_allclose(exact - exact[0], numeric - numeric[0], atol=1e-4 * found.influence.std())


@pytest.mark.parametrize("metric", [FrechetDistance, FrechetExtrapolated])
@pytest.mark.parametrize("count", [20, 120])
def test_is_0_for_the_real_samples_themselves(metric: type[FrechetDistance], count: int) -> None:
    x = rows(count, 32, seed=7)
    side = metric()
    side.fit(x)
    result = side.score(x)
    if metric is FrechetDistance:
        assert abs(result.value) < 1e-10
        assert np.abs(result.influence).max() < 1e-6
    else:  # subsets are further away, so the line over 1 / N falls below
        assert result.value < -0.1


@pytest.mark.parametrize("count", [5, 120])
def test_order_and_number_format_do_not_matter(count: int) -> None:
    metric, x = fitted(rows(200, seed=8)), rows(count, seed=9).astype(np.float32)
    order = np.random.default_rng(0).permutation(count)
    whole, shuffled, double = metric.score(x), metric.score(x[order]), metric.score(x.astype(np.float64))
    assert shuffled.value == pytest.approx(whole.value, rel=1e-12)
    np.testing.assert_allclose(shuffled.influence, whole.influence[order], atol=1e-10)
    assert double.value == whole.value and (double.influence == whole.influence).all()
    assert abs(whole.influence.mean()) < 1e-12


def test_is_the_function_of_merged_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows(100, seed=10), rows(90, seed=11)
    parts = [Moments(), Moments()]
    for part, half in zip(parts, np.split(x, [37]), strict=True):
        part.update(half)
    parts[0].merge(parts[1])
    expected = frechet_distance(parts[0].mean, parts[0].covariance, y.mean(axis=0), np.cov(y.T))
    whole = fitted(y).score(x)
    assert whole.value == pytest.approx(expected, rel=1e-12)
    monkeypatch.setattr(metrics_rows, "PIECE", D * 7)
    pieces = fitted(y).score(x)
    assert pieces.value == pytest.approx(whole.value, rel=1e-12)
    np.testing.assert_allclose(pieces.influence, whole.influence, atol=1e-10)


@pytest.mark.parametrize("metric", [FrechetDistance, SpatialFrechetDistance, FrechetExtrapolated])
def test_flags_few_samples(metric: type[FrechetDistance]) -> None:
    side = metric()
    side.fit(rows(50))
    assert side.score(rows(159)).flag == "N=159 is small against d=8"
    assert side.score(rows(160)).flag is None


def test_spatial_rows_are_adms() -> None:
    maps = torch.randn(2, 9, 3, 4, generator=torch.Generator().manual_seed(0))
    found = SpatialFrechetDistance().per_sample(maps)
    assert found.shape == (2, 7 * 12) and found.dtype == torch.float32
    # position by position, the 7 channels of each
    assert found[1, 7 * 5 : 7 * 6].tolist() == maps[1, :7, 1, 1].tolist()
    assert SpatialFrechetDistance(channels=9).per_sample(maps).shape == (2, 9 * 12)


def test_extrapolation_is_the_line_through_nested_subsets() -> None:
    x, metric, plain = rows(300, seed=12), FrechetExtrapolated(), FrechetDistance()
    metric.fit(rows(400, seed=13))
    plain.fit(rows(400, seed=13))
    order = np.argsort(np.arange(300) * (5**0.5 - 1) / 2 % 1)
    sizes = np.linspace(150, 300, 15).astype(int)
    chains = (order, np.concatenate([order[150:], order[:150]]))
    distances, pushes = np.zeros((15, 1)), np.zeros((15, 300))
    for i, n in enumerate(sizes):
        for c in chains:
            part = plain.score(x[c[:n]])
            distances[i] += part.value / 2
            pushes[i, c[:n]] += part.influence / n / 2  # of each sample, on this distance
    result = metric.score(x)
    assert result.value == pytest.approx(np.polyfit(1 / sizes, distances, 1)[1, 0], rel=1e-9)
    np.testing.assert_allclose(result.influence / 300, np.polyfit(1 / sizes, pushes, 1)[1], atol=1e-9)
    assert abs(result.influence.mean()) < 1e-12


def test_extrapolation_removes_the_bias() -> None:
    rng = np.random.default_rng(14)
    sigma = np.diag(np.linspace(0.5, 2.0, D))
    truth = frechet_distance(np.full(D, 0.1), sigma, np.zeros(D), np.eye(D))
    metrics = FrechetDistance(), FrechetExtrapolated()
    for metric in metrics:
        metric.fit(rng.normal(size=(200_000, D)))
    found = []
    for _ in range(40):
        x = rng.normal(size=(320, D)) * np.sqrt(np.diag(sigma)) + 0.1
        found.append([metric.score(x).value for metric in metrics])
    plain, extrapolated = np.mean(found, axis=0) - truth
    error = np.std(found, axis=0)[1] / 40**0.5
    assert abs(extrapolated) < 3 * error < 0.5 * plain


def test_subsets_take_every_class_in_its_share() -> None:
    # class = i mod 10: no remainder may be left out of the half
    order = np.argsort(np.arange(500) * (5**0.5 - 1) / 2 % 1)
    counts = np.bincount(order[:250] % 10, minlength=10)
    assert counts.min() >= 23 and counts.max() <= 27


def test_names_what_is_missing(tmp_path: Path) -> None:
    for metric in (FrechetDistance(), SpatialFrechetDistance(), FrechetExtrapolated()):
        with pytest.raises(
            ValueError, match=rf"{type(metric).__name__} has no real side: give .* `reference`"
        ):
            metric.score(rows(10))
    with pytest.raises(ValueError, match="no reference statistics"):
        FrechetDistance(str(tmp_path / "none.npz"))
    with pytest.raises(ValueError, match=r"reference\.npz and real samples: name only one"):
        FrechetDistance(file_of(tmp_path, rows(50))).fit(rows(50))


def test_refuses_bad_rows(tmp_path: Path) -> None:
    metric = FrechetDistance(file_of(tmp_path, rows(50)))
    with pytest.raises(ValueError, match=r"width 5, the reference statistics .*reference\.npz 8"):
        metric.score(rows(10, 5))
    with pytest.raises(ValueError, match="width 5, the reference statistics of the real samples 8"):
        fitted(rows(50)).score(rows(10, 5))
    broken = rows(10)
    broken[3, 0] = np.nan
    with pytest.raises(ValueError, match="1 of 10 rows of features"):
        metric.score(broken)
    with pytest.raises(ValueError, match="1 of 10 rows of features of real samples"):
        fitted(broken)
    with pytest.raises(ValueError, match="FrechetDistance needs at least 2 samples, has 1"):
        metric.score(rows(1))
    with pytest.raises(ValueError, match="the real side needs at least 2 samples, has 1"):
        fitted(rows(1))
    with pytest.raises(ValueError, match="FrechetExtrapolated needs at least 3 samples, has 2"):
        FrechetExtrapolated(file_of(tmp_path, rows(50))).score(rows(2))
    with pytest.raises(ValueError, match=r"\[N, d\] and not empty, not \[10\]"):
        metric.score(np.zeros(10))


def test_refuses_bad_maps() -> None:
    for shape in ((2, 6, 3, 3), (2, 7, 3), (0, 7, 3, 3)):
        with pytest.raises(ValueError, match="spatial must be"):
            SpatialFrechetDistance().per_sample(torch.zeros(shape))
    with pytest.raises(ValueError, match="channels=0"):
        SpatialFrechetDistance(channels=0)


def test_digest_follows_the_file(tmp_path: Path) -> None:
    first = FrechetDistance(file_of(tmp_path, rows(50)))
    second = FrechetDistance(file_of(tmp_path, rows(51)))
    assert first.digest and second.digest and first.digest != second.digest
    assert FrechetDistance().digest is None
