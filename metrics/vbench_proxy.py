"""Proxies of VBench's dimensions (Huang et al. 2024, arXiv 2311.17982) that need none of its networks.

Named `vbproxy_*` wherever they are shown. They say how one policy differs from another, not what VBench would
give, and no total is made of them. Formulas as in Vchitect/VBench, vbench/*.py; what differs stands with each.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from metrics.flow import PIECE, motion, warped
from metrics.frames import checked_clips, grey
from metrics.rows import checked
from metrics.score import SampleMean

RATE = 8  # frames a second that dynamic degree is judged at
SCALE = 256  # pixels of the shorter side that its threshold is for
FASTEST = 0.05  # share of the pixels that counts: the fastest


class TemporalFlicker(SampleMean):
    """1 less the mean absolute difference of neighbouring frames over 255: 1 is a frozen clip.

    VBench's formula, in float64, of its temporal flickering; VBench reads the frames from mp4 and leaves out
    clips that move.
    """

    inputs: tuple[str, ...] = ("samples",)
    higher_is_better = True
    name = "temporal_flicker"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Scores float64 [B] of clips uint8 [B, T, C, H, W], T at least 2; ValueError for others."""
        frames = checked_clips(inputs[0], least=2).double()
        return (255.0 - (frames[:, 1:] - frames[:, :-1]).abs().mean((2, 3, 4)).mean(1)) / 255.0


class MotionSmoothness(SampleMean):
    """1 less the mean absolute error over 255 of every second frame, predicted from its two neighbours.

    VBench's protocol with another predictor than AMT-S: the neighbours, each warped half of the motion
    between them (`metrics.flow`), averaged and rounded. With `compensated` false they are averaged where they
    are, and then any motion counts as jerky, even if it is uniform. Occlusions and motion that the flow does
    not see cost more than they would AMT: compare policies, not levels.
    """

    inputs: tuple[str, ...] = ("samples",)
    higher_is_better = True
    name = "motion_smoothness"
    version = 1

    def __init__(self, compensated: bool = True) -> None:
        self._compensated = compensated

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Scores float64 [B] of clips uint8 [B, T, C, H, W], T at least 3; ValueError for others."""
        clips = checked_clips(inputs[0], least=3)
        some = clips.split(max(1, PIECE // clips[0].numel()))
        return torch.cat([self._smoothness(each) for each in some])

    def _smoothness(self, clips: Tensor) -> Tensor:
        even, odd = clips[:, 0::2], clips[:, 1::2]
        before, after = even[:, :-1], even[:, 1:]
        predicted = self._between(before.flatten(0, 1), after.flatten(0, 1)).unflatten(0, before.shape[:2])
        errors = (predicted.double() - odd[:, : before.shape[1]].double()).abs().mean((1, 2, 3, 4))
        return (255.0 - errors) / 255.0

    def _between(self, before: Tensor, after: Tensor) -> Tensor:
        first, second = before.float(), after.float()
        if self._compensated:
            half = motion(grey(before), grey(after)) / 2
            first, second = warped(first, -half), warped(second, half)
        return ((first + second) / 2).round()


class Motion(nn.Module):
    """How fast the fastest twentieth of the pixels is, frame by frame: an encoder, see `metrics.flow`.

    forward(uint8 [B, T, C, H, W]) gives `motion` float64 [B, P], a number for each pair of neighbours among
    every n-th frame, n = max(1, round(fps / 8)): pixels in n / fps seconds, in a frame whose shorter side has 256.
    That is an eighth of a second where 8 divides fps (1/6 s at 12, 2/15 s at 15). Frames and pixels are those of
    VBench's dynamic degree, the flow is not RAFT's; below 8 frames a second motion is scaled to an eighth of a
    second, which VBench does not do. `fps` are the clips' own. Raises ValueError for an fps not above 0, and for
    clips with fewer than 2 such frames.
    """

    name = "motion"
    version = 1

    def __init__(self, fps: float) -> None:
        super().__init__()
        if not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"Motion fps={fps} must be a number of frames a second above 0")
        self.fps = fps
        self._interval, self._seconds = max(1, round(fps / RATE)), max(1.0, RATE / fps)

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        frames = grey(checked_clips(clips)[:, :: self._interval])
        if frames.shape[1] < 2:
            raise ValueError(
                f"clips of {clips.shape[1]} frames at {self.fps:g} a second are too short to move: leave it out"
            )
        found = motion(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1))
        speeds = fastest(found.norm(dim=1)).unflatten(0, (len(clips), -1))
        return {"motion": speeds * SCALE / min(clips.shape[3:]) / self._seconds}


def fastest(magnitudes: Tensor) -> Tensor:
    """Means float64 [N] of the largest 5 % (rounded down, at least one) of each of [N, H, W]."""
    each = magnitudes.double().flatten(1)
    return each.topk(max(1, int(each.shape[1] * FASTEST)), dim=1).values.mean(1)


class DynamicDegree(SampleMean):
    """Share of the clips that move: the `motion` of enough pairs of frames exceeds `threshold`.

    Enough is a quarter of the frames, rounded. VBench's rule and its 6 pixels a frame of 256. It
    saturates: see `MotionMagnitude`.
    """

    inputs: tuple[str, ...] = ("motion",)
    higher_is_better = True
    name = "dynamic_degree"
    version = 1

    def __init__(self, threshold: float = 6.0) -> None:
        if not (math.isfinite(threshold) and threshold > 0):
            raise ValueError(f"DynamicDegree threshold={threshold} must be above 0; VBench has 6")
        self._threshold = threshold

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """1.0 or 0.0, float64 [B], for motion [B, P]; ValueError for another shape, NaN or Inf."""
        speeds = _speeds(inputs[0])
        enough = round(4 * (speeds.shape[1] + 1) / 16)
        return ((speeds > self._threshold).sum(1) >= enough).double()


class MotionMagnitude(SampleMean):
    """Mean over clips of their `motion`, averaged over time, in its unit: dynamic degree before its threshold."""

    inputs: tuple[str, ...] = ("motion",)
    higher_is_better = True
    name = "motion_magnitude"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Means float64 [B] of motion [B, P]; ValueError for another shape, NaN or Inf."""
        return _speeds(inputs[0]).mean(1)


def _speeds(speeds: Tensor) -> Tensor:
    return torch.from_numpy(checked(speeds.detach().cpu().double().numpy(), "motion"))


class Consistency(SampleMean):
    """How alike the frames of a clip are to an encoder: cosines to the frame before and to the first, averaged.

    Negative cosines count as 0. VBench's formula for subject (DINO) and background (CLIP), whose levels
    belong to their encoders: `frames` of another encoder compare with nothing but themselves.
    """

    inputs: tuple[str, ...] = ("frames",)
    higher_is_better = True
    name = "consistency"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Scores float64 [B] of features [B, T, D], T at least 2; ValueError for others, NaN and Inf."""
        frames = inputs[0].detach().double()
        if frames.ndim != 3 or frames.shape[1] < 2 or 0 in frames.shape:
            raise ValueError(f"frames must be [B, T, D], at least 2 a clip, not {list(frames.shape)}")
        checked(frames.flatten(1).cpu().numpy(), "frames")
        later = frames[:, 1:]
        return (_likeness(later, frames[:, :-1]) + _likeness(later, frames[:, :1])).mean(1) / 2


def _likeness(frames: Tensor, others: Tensor) -> Tensor:
    """Cosines [B, T], from 0; features that are both zero are alike."""
    nothing = (frames == 0).all(2) & (others == 0).all(2)
    return cosine_similarity(frames, others.expand_as(frames), dim=2).clamp(min=0).masked_fill(nothing, 1.0)
