"""Proxies of VBench's dimensions (Huang et al. 2024, arXiv 2311.17982) that need none of its networks.

They are named `vbproxy_*` wherever they are shown. They tell how one policy differs from another, not what VBench
would give, and are not summed to a total. Formulas are those of Vchitect/VBench, vbench/*.py; each class says what
differs.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from metrics.features import checked
from metrics.flow import PIECE, motion, warped
from metrics.frames import checked_clips, grey
from metrics.score import SampleMean

RATE = 8  # frames a second at which VBench's dynamic degree measures motion
SCALE = 256  # pixels of the shorter side for which its threshold holds
FASTEST = 0.05  # share of the pixels, the fastest ones, whose motion counts


class TemporalFlicker(SampleMean):
    """One minus the mean absolute difference of neighbouring frames over 255; a frozen clip scores 1.

    It is VBench's formula, in float64, for temporal flickering; VBench reads the frames from mp4 and leaves out
    clips that move.
    """

    inputs: tuple[str, ...] = ("samples",)
    higher_is_better = True
    on_device = True
    name = "temporal_flicker"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Score clips uint8 [B, T, C, H, W], T at least 2: float64 [B]; ValueError for others."""
        frames = checked_clips(inputs[0], least=2).double()
        return (255.0 - (frames[:, 1:] - frames[:, :-1]).abs().mean((2, 3, 4)).mean(1)) / 255.0


class MotionSmoothness(SampleMean):
    """One minus the mean absolute error over 255 of every second frame, predicted from its two neighbours.

    It is VBench's protocol with another predictor than AMT-S: the two neighbours, each warped by half of the motion
    between them (`metrics.flow`), averaged and rounded. With `compensated` false they are averaged without warping,
    and then any motion counts as jerky, even if it is uniform. Occlusions, and motion that the flow misses, cost more
    than with AMT: compare policies, not levels.
    """

    inputs: tuple[str, ...] = ("samples",)
    higher_is_better = True
    on_device = True
    name = "motion_smoothness"
    version = 1

    def __init__(self, compensated: bool = True) -> None:
        self._compensated = compensated

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Score clips uint8 [B, T, C, H, W], T at least 3: float64 [B]; ValueError for others."""
        clips = checked_clips(inputs[0], least=3)
        pieces = clips.split(max(1, PIECE // clips[0].numel()))
        return torch.cat([self._smoothness(piece) for piece in pieces])

    def _smoothness(self, clips: Tensor) -> Tensor:
        neighbours, between = clips[:, 0::2], clips[:, 1::2]
        before, after = neighbours[:, :-1], neighbours[:, 1:]
        predicted = self._between(before.flatten(0, 1), after.flatten(0, 1)).unflatten(0, before.shape[:2])
        errors = (predicted.double() - between[:, : before.shape[1]].double()).abs().mean((1, 2, 3, 4))
        return (255.0 - errors) / 255.0

    def _between(self, before: Tensor, after: Tensor) -> Tensor:
        first, second = before.float(), after.float()
        if self._compensated:
            half = motion(grey(before), grey(after)) / 2
            first, second = warped(first, -half), warped(second, half)
        return ((first + second) / 2).round()


class Motion(nn.Module):
    """An encoder that measures how fast the fastest twentieth of the pixels moves between frames (`metrics.flow`).

    forward(uint8 [B, T, C, H, W]) gives `motion` float64 [B, P]: for each pair of successive frames among every n-th
    frame, n = max(1, round(fps / 8)), the motion in pixels of a frame whose shorter side has 256, in n / fps seconds.
    That is an eighth of a second where 8 divides fps (1/6 s at 12, 2/15 s at 15). Frames and pixels are those of
    VBench's dynamic degree; the flow is not RAFT's. Below 8 frames a second motion is scaled to an eighth of a
    second, which VBench does not do. `fps` is the clips' own rate. Raises ValueError for an fps not above 0, and for
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
        flow = motion(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1))
        speeds = fastest(flow.norm(dim=1)).unflatten(0, (len(clips), -1))
        return {"motion": speeds * SCALE / min(clips.shape[3:]) / self._seconds}


def fastest(magnitudes: Tensor) -> Tensor:
    """Average the largest 5 % (rounded down, at least one) of the numbers of each map [N, H, W]: float64 [N]."""
    numbers = magnitudes.double().flatten(1)
    return numbers.topk(max(1, int(numbers.shape[1] * FASTEST)), dim=1).values.mean(1)


class DynamicDegree(SampleMean):
    """The share of clips that move: those in which the `motion` of enough pairs of frames exceeds `threshold`.

    Enough is a quarter of the number of frames, rounded. Rule and threshold (6 pixels, in frames of 256) are VBench's;
    of 2 frames it would call every clip moving. The share saturates: see `MotionMagnitude`.
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
        """Return 1.0 for clips that move, else 0.0: float64 [B], for motion [B, P].

        Raises ValueError for another shape, fewer than 2 pairs, NaN or Inf.
        """
        speeds = _speeds(inputs[0])
        if speeds.shape[1] < 2:
            raise ValueError("the dynamic degree needs clips of at least 3 frames: leave it out")
        enough = round(4 * (speeds.shape[1] + 1) / 16)
        return ((speeds > self._threshold).sum(1) >= enough).double()


class MotionMagnitude(SampleMean):
    """The mean over clips of their `motion`, averaged over time, in its unit: dynamic degree without a threshold."""

    inputs: tuple[str, ...] = ("motion",)
    higher_is_better = True
    name = "motion_magnitude"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Average motion [B, P] over time: float64 [B]; ValueError for another shape, NaN or Inf."""
        return _speeds(inputs[0]).mean(1)


def _speeds(speeds: Tensor) -> Tensor:
    return torch.from_numpy(checked(speeds.detach().cpu().double().numpy(), "motion"))


class Consistency(SampleMean):
    """The mean cosine between an encoder's features of a frame and those of the frame before and the first frame.

    Negative cosines count as 0. It is VBench's formula for subject (DINO) and background (CLIP) consistency. Its level
    depends on the encoder: compare values of one encoder only.
    """

    inputs: tuple[str, ...] = ("frames",)
    higher_is_better = True
    name = "consistency"
    version = 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Score features [B, T, D], T at least 2: float64 [B]; ValueError for others, NaN and Inf."""
        frames = inputs[0].detach().double()
        if frames.ndim != 3 or frames.shape[1] < 2 or 0 in frames.shape:
            raise ValueError(f"frames must be [B, T, D], at least 2 a clip, not {list(frames.shape)}")
        checked(frames.flatten(1).cpu().numpy(), "frames")
        later = frames[:, 1:]
        return (_similarity(later, frames[:, :-1]) + _similarity(later, frames[:, :1])).mean(1) / 2


def _similarity(frames: Tensor, others: Tensor) -> Tensor:
    """Cosines [B, T], negative ones raised to 0; two features of zeros count as equal."""
    both_zero = (frames == 0).all(2) & (others == 0).all(2)
    cosines = cosine_similarity(frames, others.expand_as(frames), dim=2)
    return cosines.clamp(min=0).masked_fill(both_zero, 1.0)
