"""Imaging quality as a vector, one score each, without a learned opinion: VBench's MUSIQ is not imitated.

Each is a mean over the frames of a clip, of their luma from 0 to 255. Which direction is better holds for
photographs; what a policy changes is seen in its difference to the uncached clips.
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
    """A number of each frame, averaged over a clip and over clips; frames have at least `smallest` pixels a side."""

    inputs: tuple[str, ...] = ("samples",)
    higher_is_better = False
    smallest = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Means over frames, float64 [B], of clips uint8 [B, T, C, H, W]; ValueError for others."""
        clips = checked_clips(inputs[0])
        if min(clips.shape[3:]) < self.smallest:
            raise ValueError(
                f"frames of {clips.shape[3]}x{clips.shape[4]} are smaller than {self.smallest} pixels: leave it out"
            )
        return torch.stack([self.of_frames(grey(clip).double()).mean() for clip in clips])

    @abstractmethod
    def of_frames(self, frames: Tensor) -> Tensor:
        """The numbers [T] of frames float64 [T, H, W]."""


class Sharpness(OfFrames):
    """Variance of the Laplacian, in squared grey levels (Pech-Pacheco et al. 2000): blur lowers it, noise raises it."""

    higher_is_better = True
    smallest = 3
    name = "sharpness"
    version = 1

    def of_frames(self, frames: Tensor) -> Tensor:
        return _filtered(frames, LAPLACIAN).flatten(1).var(1, unbiased=False)


class NoiseSigma(OfFrames):
    """Standard deviation of the noise, in grey levels (Immerkaer 1996); fine texture counts as noise."""

    smallest = 3
    name = "noise_sigma"
    version = 1

    def of_frames(self, frames: Tensor) -> Tensor:
        return _filtered(frames, IMMERKAER).abs().flatten(1).mean(1) * math.sqrt(math.pi / 2) / 6


class ExposedShare(OfFrames):
    """Share of pixels of a luma from `low` to `high`: burnt out, or drowned, where these are near 255 or 0.

    Raises ValueError for a range that is none within 0 to 255.
    """

    name = "exposed_share"
    version = 1

    def __init__(self, low: float, high: float) -> None:
        if not 0 <= low <= high <= 255:
            raise ValueError(f"ExposedShare from {low} to {high} must be a range within 0 to 255")
        self._low, self._high = low, high

    def of_frames(self, frames: Tensor) -> Tensor:
        # half a level of play: float32 luma of grey pixels is not always whole
        inside = (frames >= self._low - 0.5) & (frames <= self._high + 0.5)
        return inside.double().flatten(1).mean(1)


class Blockiness(OfFrames):
    """How much larger steps between pixels are at the borders of `block`-sized squares than elsewhere, in grey levels.

    Mean absolute difference of neighbours, both directions (after Wang, Sheikh and Bovik 2002); about 0 where there are
    no blocks. 8 pixels are JPEG's blocks, and a patch of 2 latents of 4 pixels (nano). Raises ValueError for a block
    under 2.
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
