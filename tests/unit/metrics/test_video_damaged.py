"""Clips damaged in known ways: each proxy moves the way it should, or is blind, and none of them by chance.

12 clips of a textured square that moves over a soft ground; consistency is seen through the pixels themselves,
coarse ones for the background. Every comparison is of the same clips, in pairs.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from metrics.frames import FrameEncoder
from metrics.imaging import Blockiness, ExposedShare, NoiseSigma, Sharpness
from metrics.inference import paired_difference
from metrics.prompt_agreement import PromptAgreement
from metrics.score import Score
from metrics.vbench_proxy import (
    Consistency,
    DynamicDegree,
    Motion,
    MotionMagnitude,
    MotionSmoothness,
    TemporalFlicker,
)
from metrics.video_distances import ClipPSNR, DifferencePSNR, FramesPSNR, FramesSSIM
from tests.support.clips import clips

pytestmark = pytest.mark.slow  # scores of many damaged sets, once for all cases

COUNT = 12
METRICS: dict[str, Any] = {
    "flicker": TemporalFlicker(),
    "smooth": MotionSmoothness(),
    "averaged": MotionSmoothness(compensated=False),
    "dynamic": DynamicDegree(),
    "magnitude": MotionMagnitude(),
    "subject": Consistency(),
    "background": Consistency(),
    "sharpness": Sharpness(),
    "noise": NoiseSigma(),
    "over": ExposedShare(250, 255),
    "under": ExposedShare(0, 5),
    "blocks": Blockiness(),
    "psnr": FramesPSNR(),
    "psnr_clip": ClipPSNR(),
    "psnr_motion": DifferencePSNR(),
    "ssim": FramesSSIM(),
}
ENCODERS = {
    "dynamic": Motion(8),
    "magnitude": Motion(8),
    "subject": FrameEncoder(),
    "background": FrameEncoder(coarse=16),
}


def noisy(given: Tensor, sigma: float) -> Tensor:
    """Independent noise on every frame."""
    drawn = torch.randn(given.shape, generator=torch.Generator().manual_seed(0))
    return (given + sigma * drawn).round().clamp(0, 255).to(torch.uint8)


def shuffled(given: Tensor) -> Tensor:
    return given[:, torch.randperm(given.shape[1], generator=torch.Generator().manual_seed(1))]


def another_half_way(given: Tensor) -> Tensor:
    """From the middle on the clip of another seed: subject and ground."""
    return torch.cat([given[:, :6], given.roll(1, 0)[:, 6:]], dim=1)


def another_ground(given: Tensor) -> Tensor:
    """From the middle on all lighter, to one side more than to the other."""
    slope = torch.linspace(0, 90, given.shape[-1])  # of one frame, columns
    lighter = (given[:, 6:] + slope).round().clamp(0, 255).to(torch.uint8)
    return torch.cat([given[:, :6], lighter], dim=1)


def of_frames(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def changed(given: Tensor) -> Tensor:
        frames = change(given.flatten(0, 1).float())
        return frames.round().clamp(0, 255).to(torch.uint8).unflatten(0, given.shape[:2])

    return changed


def blurred(frames: Tensor) -> Tensor:
    return avg_pool2d(frames, 3, 1, 1, count_include_pad=False)


def blocked(frames: Tensor) -> Tensor:
    """Half of every 8 x 8 square's detail is lost, as in JPEG at a low quality."""
    return (frames + interpolate(avg_pool2d(frames, 8), scale_factor=8.0)) / 2


DAMAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda given: given,
    "noise": lambda given: noisy(given, 12),
    "frozen": lambda given: given[:, :1].expand_as(given).contiguous(),
    "shuffled": shuffled,
    "another": another_half_way,
    "ground": another_ground,
    "blur": of_frames(blurred),
    "blocks": of_frames(blocked),
    "bright": of_frames(lambda frames: 2.2 * frames),
    "dark": of_frames(lambda frames: frames - 110),
}
LOWERED = [  # by damage: what gives less than for the whole clips
    ("noise", "flicker smooth averaged subject psnr psnr_clip psnr_motion ssim"),
    ("frozen", "magnitude dynamic psnr psnr_motion ssim"),
    ("shuffled", "flicker smooth averaged subject psnr psnr_motion ssim"),
    ("another", "flicker smooth subject background psnr psnr_clip"),
    ("ground", "background psnr psnr_clip"),
    ("blur", "sharpness noise psnr psnr_clip ssim"),
    ("blocks", "psnr psnr_clip ssim"),
]
RAISED = [
    ("noise", "noise sharpness"),
    ("frozen", "flicker smooth averaged subject background"),
    ("shuffled", "magnitude"),
    ("blocks", "blocks"),
    ("bright", "over"),
    ("dark", "under"),
]


def scored(given: Tensor, baseline: Tensor) -> dict[str, Score]:
    inputs: dict[str, Tensor] = {"samples": given, "baseline": baseline}
    by_name = {}
    for name, metric in METRICS.items():
        seen = inputs | (ENCODERS[name](given) if name in ENCODERS else {})
        by_name[name] = metric.score(metric.per_sample(*(seen[each] for each in metric.inputs)).numpy())
    return by_name


@pytest.fixture(scope="module")
def scores() -> dict[str, dict[str, Score]]:
    undamaged = clips(COUNT)
    return {name: scored(damage(undamaged), undamaged) for name, damage in DAMAGES.items()}


def changed(found: dict[str, dict[str, Score]], damage: str, name: str) -> tuple[float, float]:
    """How much more than for the whole clips, and its standard error."""
    difference = paired_difference(found[damage][name], found["none"][name])
    return difference.value, difference.se


@pytest.mark.parametrize(("damage", "name"), [(d, n) for d, names in LOWERED for n in names.split()])
def test_what_damage_lowers(scores: dict[str, dict[str, Score]], damage: str, name: str) -> None:
    more, error = changed(scores, damage, name)
    assert more < -4 * error and more < 0


@pytest.mark.parametrize(("damage", "name"), [(d, n) for d, names in RAISED for n in names.split()])
def test_what_damage_raises(scores: dict[str, dict[str, Score]], damage: str, name: str) -> None:
    more, error = changed(scores, damage, name)
    assert more > 4 * error and more > 0


def test_a_frozen_clip_neither_flickers_nor_moves(scores: dict[str, dict[str, Score]]) -> None:
    frozen = {name: score.value for name, score in scores["frozen"].items()}
    assert frozen["flicker"] == frozen["smooth"] == frozen["averaged"] == 1.0
    assert frozen["subject"] == pytest.approx(1) and frozen["background"] == pytest.approx(1)
    assert frozen["dynamic"] == frozen["magnitude"] == 0.0
    assert scores["none"]["dynamic"].value == 1.0


def test_whole_clips_are_as_near_as_can_be(scores: dict[str, dict[str, Score]]) -> None:
    undamaged = scores["none"]
    assert [undamaged[name].value for name in ("psnr", "psnr_clip", "psnr_motion")] == [60.0] * 3
    assert undamaged["ssim"].value == pytest.approx(1)


def test_compensation_tells_jerks_from_motion(scores: dict[str, dict[str, Score]]) -> None:
    """By what factor the error of the prediction grows if the frames are shuffled."""

    def grown(name: str) -> float:
        return (1 - scores["shuffled"][name].value) / (1 - scores["none"][name].value)

    assert grown("smooth") > 1.5 * grown("averaged") > 1.5


@pytest.mark.parametrize("name", ["sharpness", "noise", "over", "under", "blocks"])
def test_frames_know_no_order(scores: dict[str, dict[str, Score]], name: str) -> None:
    assert scores["shuffled"][name].value == pytest.approx(scores["none"][name].value)


def test_a_detail_costs_the_background_little_and_another_ground_much(
    scores: dict[str, dict[str, Score]],
) -> None:
    kept, lost = (abs(changed(scores, damage, "background")[0]) for damage in ("blocks", "ground"))
    assert lost > 10 * kept


def test_another_caption_lowers_agreement() -> None:
    """Clips of six colours, seen by the nearest of the six."""
    colours = torch.tensor([[r, g, b] for r in (40, 200) for g in (40, 200) for b in (40, 200)][:6]).float()
    captions = torch.arange(36) % 6
    given = noisy(colours[captions][:, None, :, None, None].expand(-1, 4, -1, 16, 16), 30)
    logits = -torch.cdist(given.float().mean((1, 3, 4)), colours)
    metric = PromptAgreement(torch.arange(6))
    right, wrong = (
        metric.score(metric.per_sample(logits, said).numpy()) for said in (captions, captions.roll(1))
    )
    assert right.value == 1.0 and wrong.value == 0.0
