"""PSNR and SSIM against their formulas, written out."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from metrics.features import FloatArray
from metrics.paired import PSNR, SSIM
from metrics.score import SampleMean, Score


def images(channels: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    baseline = torch.randint(0, 256, (6, channels, 20, 16), generator=generator, dtype=torch.uint8)
    noise = torch.randint(-30, 31, baseline.shape, generator=generator)
    return (baseline.int() + noise).clamp(0, 255).to(torch.uint8), baseline


def psnr(x: FloatArray, y: FloatArray) -> float:
    return float(10 * np.log10(255.0**2 / ((x - y) ** 2).mean()))


def ssim(x: FloatArray, y: FloatArray) -> float:
    """Mean over channels and positions, borders reflected; C1 = (0.01 L)^2, C2 = (0.03 L)^2, L = 255."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2

    def blur(image: FloatArray) -> FloatArray:
        framed = np.pad(image, ((0, 0), (5, 5), (5, 5)), mode="reflect")
        places = np.lib.stride_tricks.sliding_window_view(framed, (11, 11), axis=(1, 2))
        return np.einsum("chwij,ij->chw", places, window)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 2.55**2, 7.65**2
    value = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(value.mean())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("metric", "formula", "within"), [(PSNR(), psnr, 1e-5), (SSIM(), ssim, 1e-7)])
def test_equals_the_formula(
    metric: SampleMean, formula: Callable[[FloatArray, FloatArray], float], within: float, channels: int
) -> None:
    samples, baseline = images(channels)
    expected = [
        formula(x, y) for x, y in zip(samples.double().numpy(), baseline.double().numpy(), strict=True)
    ]
    np.testing.assert_allclose(metric.per_sample(samples, baseline).numpy(), expected, atol=within)


def scored(metric: SampleMean, samples: Tensor, baseline: Tensor) -> Score:
    return metric.score(metric.per_sample(samples, baseline).numpy())


@pytest.mark.parametrize("metric", [PSNR(), SSIM()])
def test_is_the_mean_over_samples_in_any_batches(metric: SampleMean) -> None:
    samples, baseline = images()
    each = metric.per_sample(samples, baseline)
    pieces = [metric.per_sample(samples[i:j], baseline[i:j]) for i, j in ((0, 1), (1, 4), (4, 6))]
    assert each.dtype == torch.float64
    np.testing.assert_allclose(torch.cat(pieces).numpy(), each.numpy(), rtol=1e-12)
    result = metric.score(each.numpy())
    assert result.value == pytest.approx(each.mean().item(), rel=1e-12)
    np.testing.assert_allclose(result.influence, (each - each.mean()).numpy(), atol=1e-12)
    assert result.quantiles is not None
    assert result.quantiles["0.5"] == pytest.approx(np.median(each.numpy()))


def test_identical_images() -> None:
    _, baseline = images()
    for metric, best in ((PSNR(), 60.0), (PSNR(cap=80), 80.0), (SSIM(), 1.0)):
        result = scored(metric, baseline, baseline)
        assert result.value == pytest.approx(best, rel=1e-12)
        assert result.estimate.se == pytest.approx(0.0, abs=1e-12)


def test_one_changed_grey_level() -> None:
    baseline = torch.full((2, 1, 12, 12), 100, dtype=torch.uint8)
    samples = baseline.clone()
    samples[1] += 1
    assert scored(PSNR(), samples, baseline).value == pytest.approx((60.0 + 20 * np.log10(255)) / 2, abs=1e-5)


@pytest.mark.parametrize("metric", [PSNR(), SSIM()])
def test_refuses_bad_pairs(metric: SampleMean) -> None:
    samples, baseline = images()
    with pytest.raises(ValueError, match="pair them by seed"):
        metric.per_sample(samples[:3], baseline)
    with pytest.raises(ValueError, match=r"samples must be uint8 \[B, C, H, W\], not torch.float32"):
        metric.per_sample(samples.float(), baseline)
    with pytest.raises(ValueError, match="baseline must be uint8"):
        metric.per_sample(samples, baseline[0])
    with pytest.raises(ValueError, match="samples must be uint8"):
        metric.per_sample(samples[:0], baseline[:0])
    with pytest.raises(ValueError, match="no samples"):
        metric.score(np.zeros(0))


def test_refuses_bad_settings_and_sizes() -> None:
    for cap in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="cap="):
            PSNR(cap)
    small = torch.zeros(2, 1, 10, 28, dtype=torch.uint8)
    with pytest.raises(ValueError, match="10x28 are smaller than the 11x11"):
        SSIM().per_sample(small, small)


def test_ssim_is_torchmetrics_to_rounding() -> None:
    samples, baseline = images()
    expected = structural_similarity_index_measure(
        samples.double(), baseline.double(), sigma=1.5, data_range=255.0, reduction="none"
    )
    np.testing.assert_allclose(SSIM().per_sample(samples, baseline), torch.as_tensor(expected), atol=1e-14)
