"""Image fidelity: PSNR and SSIM between a sample and the uncached sample of the same seed."""

import math

import torch
from torch import Tensor

from metrics.score import SampleMean
from metrics.structural_similarity import WINDOW, similarity

PIECE = 2**18  # numbers of images that are compared at once: more is slower


class PSNR(SampleMean):
    """The mean over samples of the peak signal-to-noise ratio to the uncached sample, in dB.

    It averages ratios, and does not pool errors. A sample counts at most `cap` dB, because identical
    images have an infinite ratio; 60 dB is an rms error of a quarter grey level.
    """

    inputs: tuple[str, ...] = ("samples", "baseline")
    higher_is_better = True
    is_distance = True
    on_device = True
    name = "psnr"
    version = 1

    def __init__(self, cap: float = 60.0) -> None:
        if not (math.isfinite(cap) and cap > 0):
            raise ValueError(f"PSNR cap={cap} must be a finite number of dB above 0, for instance 60")
        self._cap = cap

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the ratios [B], in dB, of two batches uint8 [B, C, H, W]; ValueError for others."""
        # not at the top: reports and costs need no torchmetrics, which takes a second to import
        from torchmetrics.functional.image import peak_signal_noise_ratio

        samples, baseline = _pair(*inputs)
        ratios = peak_signal_noise_ratio(samples, baseline, data_range=255.0, reduction="none", dim=(1, 2, 3))
        return ratios.clamp(max=self._cap)


class SSIM(SampleMean):
    """The mean over samples of the structural similarity (Wang et al. 2004), with an 11x11 Gaussian of sigma 1.5.

    It is torchmetrics' form: over all positions, with reflected borders. Wang's own code averages only where the
    window fits, so its values differ, most for small images. Rows and columns are averaged one after the other, which
    gives torchmetrics' numbers to within rounding of float64, many times faster.
    """

    inputs: tuple[str, ...] = ("samples", "baseline")
    higher_is_better = True
    is_distance = True
    on_device = True
    name = "ssim"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the similarities [B] of two batches uint8 [B, C, H, W], H and W at least 11; else ValueError."""
        samples, baseline = _pair(*inputs)
        if min(samples.shape[2:]) < WINDOW:
            raise ValueError(
                f"images of {samples.shape[2]}x{samples.shape[3]} are smaller than the 11x11 window of SSIM: "
                "leave ssim out for this model"
            )
        count = max(1, PIECE // samples[0].numel())
        pairs = zip(samples.split(count), baseline.split(count), strict=True)
        return torch.cat([similarity(*pair).flatten(1).mean(1) for pair in pairs])


def _pair(samples: Tensor, baseline: Tensor) -> tuple[Tensor, Tensor]:
    """Convert both to float64; ValueError unless they are uint8 [B, C, H, W] of one shape."""
    for name, images in (("samples", samples), ("baseline", baseline)):
        if images.dtype != torch.uint8 or images.ndim != 4 or 0 in images.shape:
            raise ValueError(f"{name} must be uint8 [B, C, H, W], not {images.dtype} {list(images.shape)}")
    if samples.shape != baseline.shape:
        raise ValueError(
            f"samples {list(samples.shape)} and baseline {list(baseline.shape)} differ: pair them by seed"
        )
    return samples.double(), baseline.double()
