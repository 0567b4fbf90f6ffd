"""Perceptual distance is the plain squared distance of the encoder's stages."""

import numpy as np
import pytest
import torch

from metrics.perceptual import PerceptualDistance


def stages(seed: int = 0) -> torch.Tensor:
    return torch.randn(6, 50, generator=torch.Generator().manual_seed(seed))


def test_is_lpips_arithmetic_with_unit_weights() -> None:
    # two stages of maps, normalised over channels as the encoder does it
    generator = torch.Generator().manual_seed(0)
    sides = [
        [torch.randn(3, c, s, s, generator=generator, dtype=torch.float64) for c, s in ((4, 6), (8, 3))]
        for _ in range(2)
    ]
    unit = [[m / m.norm(dim=1, keepdim=True) for m in maps] for maps in sides]
    lpips = sum((a - b).square().sum(1).mean((1, 2)) for a, b in zip(*unit, strict=True))
    rows = [torch.cat([(m / m.shape[2]).flatten(1) for m in maps], 1) for maps in unit]
    distances = PerceptualDistance().per_sample(*rows)
    np.testing.assert_allclose(distances.numpy(), lpips.numpy(), rtol=1e-12)


def test_is_the_mean_with_its_tails() -> None:
    a, b = stages(), stages(1)
    rows = PerceptualDistance().per_sample(a, b)
    expected = ((a.double() - b.double()) ** 2).sum(1)
    assert rows.dtype == torch.float64
    np.testing.assert_allclose(rows.numpy(), expected.numpy(), rtol=1e-12)
    result = PerceptualDistance().score(rows.numpy())
    assert result.value == pytest.approx(expected.mean().item(), rel=1e-12)
    assert result.quantiles is not None
    assert result.quantiles["0.99"] == pytest.approx(np.quantile(expected.numpy(), 0.99), rel=1e-12)
    assert not PerceptualDistance.higher_is_better


def test_is_0_for_the_same_and_symmetric() -> None:
    metric, a, b = PerceptualDistance(), stages(), stages(1)
    assert metric.per_sample(a, a).tolist() == [0.0] * 6
    assert metric.per_sample(a, b).tolist() == metric.per_sample(b, a).tolist()


def test_refuses_bad_input() -> None:
    metric = PerceptualDistance()
    for other in (stages()[:5], stages()[:, :49], stages()[:, :, None]):
        with pytest.raises(ValueError, match="paired by seed"):
            metric.per_sample(stages(), other)
    with pytest.raises(ValueError, match="paired by seed"):
        metric.per_sample(stages()[:0], stages()[:0])
    broken = stages()
    broken[2, 3] = float("nan")
    with pytest.raises(ValueError, match="1 of 6 rows of stages hold NaN"):
        metric.per_sample(stages(), broken)
