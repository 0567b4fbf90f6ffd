"""Scores that are arithmetic are computed on the model's device, and are the same numbers there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metrics import audio_distances, imaging, paired, perceptual, vbench_proxy, video_distances
from metrics.score import SampleMean
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import UsageError
from smoothbench.protocols import ComputesOnDevice
from smoothbench.scoring.metric import CPU, BoundMetric
from smoothbench.scoring.off_device import off_device
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import FeatureCache
from tests.support.compose import composed
from tests.support.pretended_cuda import CUDA, pretended_cuda

GENERATOR = torch.Generator()


def pixels(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=GENERATOR.manual_seed(sum(shape)), dtype=torch.uint8)


def pair(first: Tensor) -> tuple[Tensor, Tensor]:
    """A batch and one that differs from it a little."""
    return first, (first.int() + 3).clamp(max=255).to(first.dtype)


def sound(*shape: int) -> tuple[Tensor, Tensor]:
    audio = torch.randint(-9000, 9000, shape, generator=GENERATOR.manual_seed(1), dtype=torch.int16)
    return audio, (audio // 2 + 1).to(torch.int16)


IMAGES = lambda: pair(pixels(3, 1, 16, 14))  # noqa: E731
CLIPS = lambda: pair(pixels(2, 5, 3, 16, 24))  # noqa: E731
CLIP = lambda: (pixels(2, 5, 3, 16, 24),)  # noqa: E731
SOUND = lambda: sound(2, 2, 4000)  # noqa: E731
STAGES = lambda: (torch.ones(2, 9), torch.linspace(0, 1, 18).reshape(2, 9))  # noqa: E731
METRICS: list[tuple[SampleMean, Callable[[], tuple[Tensor, ...]]]] = [
    (paired.PSNR(), IMAGES),
    (paired.SSIM(), IMAGES),
    (perceptual.PerceptualDistance(), STAGES),
    (video_distances.FramesPSNR(), CLIPS),
    (video_distances.ClipPSNR(), CLIPS),
    (video_distances.DifferencePSNR(), CLIPS),
    (video_distances.FramesSSIM(), CLIPS),
    (imaging.Sharpness(), CLIP),
    (imaging.NoiseSigma(), CLIP),
    (imaging.ExposedShare(230, 255), CLIP),
    (imaging.Blockiness(), CLIP),
    (vbench_proxy.TemporalFlicker(), CLIP),
    (vbench_proxy.MotionSmoothness(), CLIP),
    (audio_distances.MultiResolutionSTFT(), SOUND),
    (audio_distances.LogMelL1(16000), SOUND),
    (audio_distances.SISDR(), SOUND),
    (audio_distances.SISDR(), lambda: (torch.zeros_like(SOUND()[0]), SOUND()[1])),
]


def on(device: torch.device, metric: Any) -> BoundMetric:
    return BoundMetric(metric, None, "", "", {"name": metric.name}, device=device)


@pytest.mark.parametrize(("metric", "inputs"), METRICS, ids=lambda each: getattr(each, "name", ""))
def test_a_score_on_the_device_is_that_of_the_cpu(
    metric: SampleMean, inputs: Callable[[], tuple[Tensor, ...]]
) -> None:
    """The pretended device refuses what mixes it with main memory, and computes the same bits."""
    given = dict(zip(metric.inputs, inputs(), strict=True))
    assert isinstance(metric, ComputesOnDevice)
    expected = on(CPU, metric).features(given)
    with pretended_cuda():
        features = on(CUDA, metric).features(given)
        assert features.device == CUDA and torch.equal(features.cpu(), expected)


class Numpy(SampleMean):
    """A metric as a user may have it, which knows nothing of devices."""

    inputs, higher_is_better, name, version = ("samples",), True, "numpy", 1

    def per_sample(self, *inputs: Tensor) -> Tensor:
        return torch.from_numpy(inputs[0].numpy().mean(axis=(1, 2, 3)))


class Full(paired.PSNR):
    """Does not find room on the device."""

    def per_sample(self, *inputs: Tensor) -> Tensor:
        if inputs[0].device != CPU:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().per_sample(*inputs)


def test_others_are_computed_in_main_memory(caplog: pytest.LogCaptureFixture) -> None:
    samples, baseline = IMAGES()
    with pretended_cuda():
        given = {"samples": samples.to(CUDA), "baseline": baseline}
        assert on(CUDA, Numpy()).features(given).shape == (3,)
        full = on(CUDA, Full())
        for _ in range(2):
            assert torch.equal(full.features(given), paired.PSNR().per_sample(samples, baseline))
    assert [line for line in caplog.messages if "out of memory" in line] == [
        "psnr: out of memory on cuda:0, computed on the CPU from here on"
    ]


@pytest.mark.parametrize(("place", "expected"), [("device", CUDA), ("cpu", CPU)])
def test_a_setting_says_where(place: str, expected: torch.device, tmp_path: Path) -> None:
    with pretended_cuda():
        asked = settings(composed("metrics=[psnr]", f"score_on={place}"))
        model: Any = build_model(asked.model, CUDA)
        scorer = Scorer(asked.metrics, model, FeatureCache(tmp_path), asked.score_on == "device")
        assert scorer.metrics["psnr"].device == expected
    with pytest.raises(UsageError, match=r"score_on=gpu: there are device, cpu"):
        settings(composed("score_on=gpu"))


def test_networks_of_metrics_leave_the_device_for_latency(tmp_path: Path) -> None:
    """An encoder, and a metric that computes where it was told to; both come back."""
    with pretended_cuda():
        asked = settings(composed("metrics=[fd_nano,ms_ssim]"))
        scorer = Scorer(asked.metrics, build_model(asked.model, CUDA), FeatureCache(tmp_path))

        def devices() -> set[torch.device]:
            weights = scorer.metrics["fd_nano"].encoder.parameters()
            return {scorer.metrics["ms_ssim"].metric._given.device, *(weight.device for weight in weights)}

        assert devices() == {CUDA}
        with off_device(scorer):
            assert devices() == {CPU}
            assert all(weight.device == CUDA for weight in scorer.model.denoiser.parameters())
        assert devices() == {CUDA}
