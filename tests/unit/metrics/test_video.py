"""Metrics of video against their formulas, written out, and what they refuse."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metrics.frames import FrameEncoder
from metrics.imaging import Blockiness, ExposedShare, NoiseSigma, Sharpness
from metrics.paired import PSNR, SSIM
from metrics.perceptual import PerceptualDistance
from metrics.score import SampleMean
from metrics.vbench_proxy import (
    Consistency,
    DynamicDegree,
    Motion,
    MotionSmoothness,
    TemporalFlicker,
)
from metrics.video_distances import ClipPSNR, DifferencePSNR, FramesPSNR, FramesSSIM
from tests.support.clips import clips

ALONE: list[SampleMean] = [
    TemporalFlicker(),
    MotionSmoothness(),
    MotionSmoothness(compensated=False),
    Sharpness(),
    NoiseSigma(),
    ExposedShare(250, 255),
    Blockiness(),
]
PAIRED: list[SampleMean] = [FramesPSNR(), ClipPSNR(), FramesSSIM(), DifferencePSNR()]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def test_flicker_is_vbench_s_formula_on_uint8_frames_exactly() -> None:
    given = noise(3, 5, 3, 8, 16)
    for clip, score in zip(given.numpy(), TemporalFlicker().per_sample(given), strict=True):
        errors = [np.mean(np.abs(a.astype(np.float64) - b.astype(np.float64))) for a, b in pairwise(clip)]
        assert score.item() == (255.0 - np.mean(errors)) / 255.0
    # powers of two pixels: every mean is exact, and so is the score
    step = torch.stack([torch.zeros(3, 8, 8), torch.full((3, 8, 8), 51)]).to(torch.uint8)
    assert TemporalFlicker().per_sample(step[None]).item() == (255.0 - 51.0) / 255.0
    assert TemporalFlicker().per_sample(step[:1].expand(1, 4, 3, 8, 8)).item() == 1.0


def test_smoothness_without_compensation_is_its_formula() -> None:
    given = noise(2, 6, 3, 16, 16)
    for clip, score in zip(
        given.double(), MotionSmoothness(compensated=False).per_sample(given), strict=True
    ):
        errors = [(((clip[t - 1] + clip[t + 1]) / 2).round() - clip[t]).abs().mean() for t in (1, 3)]
        assert score.item() == pytest.approx(1 - np.mean(errors) / 255, rel=1e-12)


def test_uniform_motion_is_smooth_if_compensated() -> None:
    given = clips(4, speed=1.5)
    with_, without = (MotionSmoothness(each).per_sample(given) for each in (True, False))
    assert (1 - with_ < 0.5 * (1 - without)).all() and (with_ > 0.98).all()


def test_consistency_is_vbench_s_formula() -> None:
    frames = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(1))
    for clip, score in zip(frames.double().numpy(), Consistency().per_sample(frames), strict=True):
        unit = clip / np.linalg.norm(clip, axis=1, keepdims=True)
        parts = [(max(0.0, unit[t] @ unit[t - 1]) + max(0.0, unit[t] @ unit[0])) / 2 for t in range(1, 5)]
        assert score.item() == pytest.approx(np.mean(parts), rel=1e-9)
    assert Consistency().per_sample(torch.zeros(1, 3, 4)).item() == 1.0
    assert Consistency().per_sample(torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])).item() == 0.0


def test_the_imaging_vector_has_closed_forms() -> None:
    flat = torch.full((1, 2, 1, 64, 64), 100, dtype=torch.uint8)
    for metric in (Sharpness(), NoiseSigma(), ExposedShare(250, 255), Blockiness()):
        assert metric.per_sample(flat).item() == 0.0
    white = (100 + 5 * torch.randn(1, 2, 1, 64, 64, generator=torch.Generator().manual_seed(0))).round()
    assert NoiseSigma().per_sample(white.to(torch.uint8)).item() == pytest.approx(5, rel=0.03)
    # independent noise of variance v: the Laplacian has (16 + 4) v
    assert Sharpness().per_sample(white.to(torch.uint8)).item() == pytest.approx(20 * 25, rel=0.06)
    half = flat.clone()
    half[..., :16], half[..., 16:32] = 255, 250
    assert ExposedShare(250, 255).per_sample(half).item() == 0.5
    assert ExposedShare(251, 255).per_sample(half).item() == 0.25
    tiles = (torch.arange(64) // 8 % 2 * 10).to(torch.uint8)
    blocks = (tiles[:, None] + tiles)[None, None, None].contiguous()
    assert Blockiness().per_sample(blocks).item() == 10.0
    assert abs(Blockiness(7).per_sample(blocks).item()) < 3


def test_frames_are_scored_one_by_one_or_pooled() -> None:
    samples, baseline = noise(2, 3, 3, 16, 16), noise(2, 3, 3, 16, 16, seed=1)
    samples[0, 0] = baseline[0, 0]
    pairs = list(zip(samples, baseline, strict=True))
    by_frame = torch.stack([PSNR().per_sample(*pair) for pair in pairs])
    assert by_frame[0, 0] == 60.0
    torch.testing.assert_close(FramesPSNR().per_sample(samples, baseline), by_frame.mean(1))
    similar = torch.stack([SSIM().per_sample(*pair).mean() for pair in pairs])
    torch.testing.assert_close(FramesSSIM().per_sample(samples, baseline), similar)
    errors = (samples.double() - baseline.double()).square().flatten(1).mean(1)
    torch.testing.assert_close(ClipPSNR().per_sample(samples, baseline), 10 * torch.log10(255**2 / errors))
    changes = (samples.double().diff(dim=1) - baseline.double().diff(dim=1)).square().flatten(1).mean(1)
    differences = DifferencePSNR().per_sample(samples, baseline)
    torch.testing.assert_close(differences, 10 * torch.log10(255**2 / changes))
    lighter = (baseline // 2 + 20).to(torch.uint8)
    assert DifferencePSNR().per_sample(lighter, (baseline // 2).to(torch.uint8)).tolist() == [60.0, 60.0]


@pytest.mark.parametrize("metric", PAIRED)
def test_identical_clips_count_as_the_best(metric: SampleMean) -> None:
    given = clips(2)
    best = 1.0 if isinstance(metric, FramesSSIM) else 60.0
    assert metric.per_sample(given, given).tolist() == pytest.approx([best, best])
    score = metric.score(metric.per_sample(given, given).numpy())
    assert score.value == pytest.approx(best) and score.quantiles is not None


class Means(nn.Module):
    """A tiny encoder of images: mean colours, and one stage."""

    digest = "means"

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        colours = images.float().mean((2, 3))
        return {"features": colours, "stages": colours / 255}


def test_frames_as_an_encoder_of_images_sees_them() -> None:
    given = clips(2)
    seen = FrameEncoder(Means())(given)
    torch.testing.assert_close(seen["frames"], given.float().mean((3, 4)))
    distances = PerceptualDistance().per_sample(seen["stages"], seen["stages"].flip(0))
    colours = given.double().mean((3, 4)) / 255
    torch.testing.assert_close(
        distances, (colours - colours.flip(0)).square().sum(2).mean(1), rtol=1e-5, atol=0
    )
    assert FrameEncoder(Means()).digest == "means"
    pixels = FrameEncoder(coarse=16)(given)["frames"]
    torch.testing.assert_close(pixels[1, 2, 1] * 255, given[1, 2, 0, :16, 16:].float().mean())
    coarse = FrameEncoder(Means(), coarse=16)(given)["frames"]
    torch.testing.assert_close(coarse, seen["frames"], rtol=0, atol=1.5)  # rounded


@pytest.mark.parametrize("metric", [*ALONE, Motion(8.0)])
def test_each_clip_by_itself_whatever_the_batch(metric: Any) -> None:
    given = clips(3)
    run = (lambda some: metric(some)["motion"]) if isinstance(metric, Motion) else metric.per_sample
    torch.testing.assert_close(run(given)[1:2], run(given[1:2]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("metric", [*ALONE, *PAIRED])
def test_what_is_no_clip_is_one_line(metric: SampleMean) -> None:
    wrong: list[Tensor] = [
        noise(2, 3, 16, 16),
        noise(2, 4, 2, 16, 16),
        clips(1).float(),
        noise(1, 0, 3, 16, 16),
    ]
    for samples in wrong:
        with pytest.raises(ValueError, match=r"samples must be clips uint8 \[B, T, C, H, W\]") as error:
            metric.per_sample(samples, samples)
        assert "\n" not in str(error.value)


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match="clips of 1 frames are too short, at least 2"):
        TemporalFlicker().per_sample(noise(1, 1, 3, 8, 8))
    with pytest.raises(ValueError, match="clips of 2 frames are too short, at least 3"):
        MotionSmoothness().per_sample(noise(1, 2, 3, 8, 8))
    with pytest.raises(ValueError, match="pair them by seed"):
        FramesPSNR().per_sample(noise(1, 2, 3, 8, 8), noise(1, 3, 3, 8, 8))
    with pytest.raises(ValueError, match="smaller than the 11x11 window"):
        FramesSSIM().per_sample(noise(1, 2, 3, 8, 8), noise(1, 2, 3, 8, 8))
    with pytest.raises(ValueError, match="frames of 8x8 are smaller than 9 pixels"):
        Blockiness().per_sample(noise(1, 2, 3, 8, 8))
    with pytest.raises(ValueError, match="at 60 a second are too short to move"):
        Motion(60)(noise(1, 4, 3, 8, 8))
    with pytest.raises(ValueError, match="NaN or Inf"):
        Consistency().per_sample(torch.full((1, 2, 3), torch.nan))
    with pytest.raises(ValueError, match="gives features, stages, not logits"):
        FrameEncoder(Means(), output="logits")(clips(1))
    for build in (
        lambda: Motion(0),
        lambda: DynamicDegree(0),
        lambda: Blockiness(1),
        lambda: ExposedShare(9, 3),
    ):
        with pytest.raises(ValueError, match="must be"):
            build()
    with pytest.raises(ValueError, match="coarse=0 must be a whole number"):
        FrameEncoder(coarse=0)
