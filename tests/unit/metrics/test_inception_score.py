"""Inception Score at its two ends, and its influence against the jackknife."""

import numpy as np
import pytest
import torch
from torch import Tensor

from metrics import features as metrics_features
from metrics.inception_score import InceptionScore
from metrics.score import Score

K = 10


def score(logits: Tensor) -> Score:
    return InceptionScore().score(logits.numpy())


def random_logits(count: int, seed: int = 0) -> Tensor:
    return 2.0 * torch.randn(count, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_uniform_logits_give_one() -> None:
    result = score(torch.full((50, K), 3.0))
    assert result.value == pytest.approx(1.0, rel=1e-12)
    assert np.abs(result.influence).max() < 1e-12


@pytest.mark.parametrize("height", [100.0, 1e5])
def test_perfect_classes_give_their_number(height: float) -> None:
    assert score(height * torch.eye(K).repeat(4, 1)).value == pytest.approx(K, rel=1e-9)


def test_one_sharp_class_gives_one() -> None:
    # the other classes underflow to probability 0 everywhere
    assert score(1e4 * torch.eye(K)[torch.zeros(20, dtype=torch.int64)]).value == pytest.approx(
        1.0, rel=1e-12
    )


def test_equals_the_definition() -> None:
    logits = random_logits(80)
    p = torch.softmax(logits, dim=1).numpy()
    expected = np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean())
    assert score(logits).value == pytest.approx(expected, rel=1e-12)


def test_influence_is_the_jackknife() -> None:
    count = 400
    logits = random_logits(count)
    result = score(logits)
    rest = [score(logits[torch.arange(count) != i]).value for i in range(count)]
    jackknife = (count - 1) * (np.mean(rest) - np.array(rest))
    # they differ by the second order, 1 / N of the size
    np.testing.assert_allclose(result.influence, jackknife, atol=0.02 * jackknife.std())
    assert abs(result.influence.mean()) < 1e-12


def test_standard_error_is_the_spread_over_repeats() -> None:
    results = [score(random_logits(300, seed)) for seed in range(1, 201)]
    spread = np.std([result.value for result in results], ddof=1)
    assert np.mean([result.estimate.se for result in results]) == pytest.approx(spread, rel=0.15)


def test_order_does_not_matter() -> None:
    logits = random_logits(60)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    ordered, shuffled = score(logits), score(logits[order])
    assert shuffled.value == pytest.approx(ordered.value, rel=1e-12)
    np.testing.assert_allclose(shuffled.influence, ordered.influence[order], atol=1e-12)


def test_large_sets_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = random_logits(60)
    at_once = score(logits)
    monkeypatch.setattr(metrics_features, "PIECE", 7 * K)
    assert score(logits).value == pytest.approx(at_once.value, rel=1e-12)
    np.testing.assert_allclose(score(logits).influence, at_once.influence, atol=1e-12)


def test_refuses_bad_input() -> None:
    with pytest.raises(ValueError, match=r"logits must be \[N, d\]"):
        score(torch.zeros(4))
    with pytest.raises(ValueError, match="1 of 2 rows of logits"):
        score(torch.tensor([[0.0, 1.0], [0.0, float("inf")]]))
    with pytest.raises(ValueError, match="at least 2 samples, has 1"):
        score(torch.zeros(1, K))
