"""Video distances that need no network: from a clip to the uncached clip of the same seed."""

import torch
from torch import Tensor

from metrics.frames import checked_pair
from metrics.paired import PSNR
from metrics.score import SampleMean
from metrics.structural_similarity import WINDOW, similarity


class FramesPSNR(PSNR):
    """The PSNR of frames, in dB, averaged over frames and then over clips; a frame counts at most `cap`.

    Video papers report this form. Identical frames count as the cap and raise the mean, so see `ClipPSNR` too.
    """

    name = "psnr_frames"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the ratios [B], in dB, of two batches uint8 [B, T, C, H, W]; ValueError for others."""
        samples, baseline = checked_pair(inputs[0], inputs[1])
        frames = super().per_sample(samples.flatten(0, 1), baseline.flatten(0, 1))
        return frames.unflatten(0, samples.shape[:2]).mean(1)


class ClipPSNR(PSNR):
    """The PSNR of clips, in dB, with the error pooled over all frames; the mean over clips, at most `cap` each."""

    name = "psnr_clip"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the ratios [B], in dB, of two batches uint8 [B, T, C, H, W]; ValueError for others."""
        samples, baseline = checked_pair(inputs[0], inputs[1])
        return super().per_sample(samples.flatten(1, 2), baseline.flatten(1, 2))


class FramesSSIM(SampleMean):
    """The structural similarity of frames, averaged over frames and then over clips.

    It is that of `SSIM`, frame by frame.
    """

    inputs: tuple[str, ...] = ("samples", "baseline")
    higher_is_better = True
    is_distance = True
    on_device = True
    name = "ssim_frames"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the similarities [B] of two batches uint8 [B, T, C, H, W], H and W at least 11; else ValueError."""
        samples, baseline = checked_pair(inputs[0], inputs[1])
        if min(samples.shape[3:]) < WINDOW:
            raise ValueError(
                f"frames of {samples.shape[3]}x{samples.shape[4]} are smaller than the 11x11 window of SSIM: "
                "leave ssim out for this model"
            )
        pairs = zip(samples.double(), baseline.double(), strict=True)
        return torch.stack([similarity(*pair).mean() for pair in pairs])


class DifferencePSNR(PSNR):
    """The PSNR, in dB, of the changes from frame to frame, f(t+1) - f(t), against a peak of 255, at most `cap`.

    The error is pooled over the clip. It measures motion and flicker, and ignores what is the same in all frames:
    a constant error costs nothing.
    """

    name = "psnr_motion"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the ratios [B], in dB, of two batches uint8 [B, T, C, H, W], T at least 2; ValueError for others."""
        samples, baseline = (
            clips.double().diff(dim=1) for clips in checked_pair(inputs[0], inputs[1], least=2)
        )
        error = (samples - baseline).square().flatten(1).mean(1)
        return (20 * torch.log10(255 / error.sqrt())).clamp(max=self._cap)
