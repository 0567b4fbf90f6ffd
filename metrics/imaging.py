"""Imaging quality of video frames as several separate scores without learned weights (VBench has MUSIQ for it).

Each score is a mean over the frames of a clip, computed on their luma from 0 to 255. Which direction is better holds
for photographs; the effect of a policy shows in its difference to the uncached clips.
"""

import math
from abc import abstractmethod
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from metrics.frames import checked_clips, grey
from metrics.score import SampleMean

LAPLACIAN: Final = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
IMMERKAER: Final = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))


class OfFrames(SampleMean):
    """The mean over clips of a number per frame; frames must have at least `smallest` pixels a side."""

    inputs: tuple[str, ...] = ("samples",)
    higher_is_better = False
    on_device = True
    smallest = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Average the number over the frames of clips uint8 [B, T, C, H, W]: float64 [B]; ValueError for others."""
        clips = checked_clips(inputs[0])
        if min(clips.shape[3:]) < self.smallest:
            raise ValueError(
                f"frames of {clips.shape[3]}x{clips.shape[4]} are smaller than {self.smallest} pixels: leave it out"
            )
        return torch.stack([self.of_frames(grey(clip).double()).mean() for clip in clips])

    @abstractmethod
    def of_frames(self, frames: Tensor) -> Tensor:
        """Compute the numbers [T] of frames float64 [T, H, W]."""


class Sharpness(OfFrames):
    """The variance of the Laplacian, in squared grey levels (Pech-Pacheco et al. 2000).

    Blur lowers it, noise raises it.
    """

    higher_is_better = True
    smallest = 3
    name = "sharpness"
    version = 1

    def of_frames(self, frames: Tensor) -> Tensor:
        return _filtered(frames, LAPLACIAN).flatten(1).var(1, unbiased=False)


class NoiseSigma(OfFrames):
    """The standard deviation of the noise, in grey levels (Immerkaer 1996); fine texture counts as noise."""

    smallest = 3
    name = "noise_sigma"
    version = 1

    def of_frames(self, frames: Tensor) -> Tensor:
        return _filtered(frames, IMMERKAER).abs().flatten(1).mean(1) * math.sqrt(math.pi / 2) / 6


class ExposedShare(OfFrames):
    """The share of pixels whose luma lies from `low` to `high`: overexposed near 255, underexposed near 0.

    Raises ValueError for anything but a range within 0 to 255.
    """

    name = "exposed_share"
    version = 1

    def __init__(self, low: float, high: float) -> None:
        if not 0 <= low <= high <= 255:
            raise ValueError(f"ExposedShare from {low} to {high} must be a range within 0 to 255")
        self._low, self._high = low, high

    def of_frames(self, frames: Tensor) -> Tensor:
        # a tolerance of half a level: the float32 luma of grey pixels is not always a whole number
        inside = (frames >= self._low - 0.5) & (frames <= self._high + 0.5)
        return inside.double().flatten(1).mean(1)


class Blockiness(OfFrames):
    """By how many grey levels pixels differ more across the borders of `block` x `block` squares than elsewhere.

    The mean absolute difference of neighbours, in both directions (after Wang, Sheikh and Bovik 2002); about 0 where
    there are no blocks. 8 pixels are JPEG's blocks, and a patch of 2 x 2 latents of 4 pixels (nano). Raises ValueError
    for a block under 2.
    """

    name = "blockiness"
    version = 1

    def __init__(self, block: int = 8) -> None:
        if type(block) is not int or block < 2:
            raise ValueError(f"Blockiness block={block!r:.60} must be a whole number of pixels from 2")
        self._block, self.smallest = block, block + 1

    def of_frames(self, frames: Tensor) -> Tensor:
        both = self._excess(frames) + self._excess(frames.transpose(1, 2))
        return both / 2

    def _excess(self, frames: Tensor) -> Tensor:
        steps = (frames[:, :, 1:] - frames[:, :, :-1]).abs().mean(1)
        border = torch.arange(1, frames.shape[2], device=frames.device) % self._block == 0
        return steps[:, border].mean(1) - steps[:, ~border].mean(1)


def _filtered(frames: Tensor, kernel: tuple[tuple[float, ...], ...]) -> Tensor:
    return conv2d(frames[:, None], frames.new_tensor(kernel)[None, None])[:, 0]
