"""torchmetrics' classes as metrics of ours: their own numbers, on each sample by itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.audio
import torchmetrics.classification
import torchmetrics.image
from torch import Tensor, nn

from metrics.network_score import NetworkScore
from metrics.torchmetric import TorchMetric
from smoothbench.evaluators.clip import load_clip_score
from tests.support.clip_nets import save_tiny_clip

CPU = torch.device("cpu")
TEXTS = ("a cat", "two dogs on a hill", "x")
# averages over samples, by whichever states: torchmetrics' value over all of them is the mean of ours
MEANS: dict[str, dict[str, Any]] = {
    "VisualInformationFidelity": {"reduction": "none"},
    "StructuralSimilarityIndexMeasure": {"reduction": "none", "data_range": 1.0},
    "UniversalImageQualityIndex": {},
    "SpectralAngleMapper": {},
    "ErrorRelativeGlobalDimensionlessSynthesis": {},
    "SpatialCorrelationCoefficient": {},
    "RootMeanSquaredErrorUsingSlidingWindow": {},
}


def pictures(channels: int = 3, count: int = 5, size: int = 44) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    baseline = torch.randint(1, 256, (count, channels, size, size), generator=generator)  # black has no angle
    strength = torch.arange(1, count + 1).reshape(-1, 1, 1, 1)  # so that samples differ in their scores
    noise = torch.randint(-9, 10, baseline.shape, generator=generator) * strength
    return (baseline + noise).clamp(1, 255).to(torch.uint8), baseline.to(torch.uint8)


def tiny_clip(folder: Path) -> TorchMetric:
    metric = TorchMetric(
        load_clip_score(str(save_tiny_clip(folder))), ["samples", "prompts"], "stored", rgb=True
    )
    metric.meet(CPU, TEXTS)
    return metric


@pytest.mark.parametrize("name", MEANS)
@pytest.mark.filterwarnings("ignore:Metric `")
def test_the_mean_is_torchmetrics_own_value_over_all_samples(name: str) -> None:
    samples, baseline = pictures()
    direct = getattr(torchmetrics.image, name)(**MEANS[name])
    direct.update(samples / 255, baseline / 255)
    metric = TorchMetric(getattr(torchmetrics.image, name)(**MEANS[name]))
    values = metric.per_sample(samples, baseline)
    score = metric.score(values.numpy())
    assert values.dtype == torch.float64 and len(set(values.tolist())) == 5
    assert score.value == pytest.approx(float(direct.compute().double().mean()), rel=1e-5)
    assert score.estimate.se > 0 and score.quantiles is not None
    assert metric.higher_is_better is direct.higher_is_better


@pytest.mark.parametrize("data_range", [1.0, None])
@pytest.mark.parametrize("reduction", ["none", "elementwise_mean"])
def test_batches_and_their_order_change_nothing(reduction: str, data_range: float | None) -> None:
    """Also where torchmetrics would take the range of the whole batch: here samples have ranges of their own."""
    shades = torch.tensor([1, 2, 3, 4, 8]).reshape(5, 1, 1, 1)
    samples, baseline = (x // shades for x in pictures())
    metric = TorchMetric(
        torchmetrics.image.StructuralSimilarityIndexMeasure(reduction=reduction, data_range=data_range),
        dtype="float64",
    )
    values = metric.per_sample(samples, baseline)
    pieces = [metric.per_sample(samples[i:j], baseline[i:j]) for i, j in ((0, 1), (1, 3), (3, 5))]
    order = torch.tensor([3, 0, 4, 2, 1])
    np.testing.assert_allclose(torch.cat(pieces), values, rtol=1e-12)
    np.testing.assert_allclose(metric.per_sample(samples[order], baseline[order]), values[order], rtol=1e-12)


def test_a_clip_is_the_mean_of_its_frames() -> None:
    samples, baseline = (x.unflatten(0, (2, 3)) for x in pictures(count=6))
    for reduction in ("none", "elementwise_mean"):
        ssim = torchmetrics.image.StructuralSimilarityIndexMeasure(reduction=reduction, data_range=1.0)
        metric = TorchMetric(ssim, dtype="float64")
        frames = metric.per_sample(samples.flatten(0, 1), baseline.flatten(0, 1))
        clips = metric.per_sample(samples, baseline)
        np.testing.assert_allclose(clips, frames.reshape(2, 3).mean(1), rtol=1e-6)


def test_sound_is_between_minus_one_and_one() -> None:
    generator = torch.Generator().manual_seed(0)
    baseline = torch.randint(-9000, 9000, (4, 2, 800), generator=generator).to(torch.int16)
    samples = (baseline * torch.tensor([1.0, 0.9, 0.5, -1.0]).reshape(4, 1, 1)).to(torch.int16)
    metric = TorchMetric(torchmetrics.audio.SignalNoiseRatio(), dtype="float64", cap=60.0)
    direct = torchmetrics.audio.SignalNoiseRatio()
    direct.update(samples[1:].double() / 32768, baseline[1:].double() / 32768)
    values = metric.per_sample(samples, baseline)
    assert values[0] == 60.0  # the same clip, whose ratio is infinite
    assert values[1:].mean() == pytest.approx(float(direct.compute()), rel=1e-6)


def test_scales() -> None:
    class Range(nn.Module):
        higher_is_better = True

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1).double().amax(1) * 1000 + x.flatten(1).double().amin(1)

    picture = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    ranges = dict.fromkeys((), (0, 1000)) | {"unit": 1000.0, "signed": 999.0, "levels": 255000.0}
    for scale, expected in {**ranges, "stored": 255000.0}.items():
        assert NetworkScore(Range(), scale=scale, rgb=True).per_sample(picture).item() == expected


def test_clip_score_is_the_cosine_with_each_sample_s_own_prompt(tmp_path: Path) -> None:
    from transformers import CLIPModel, CLIPProcessor

    metric = tiny_clip(tmp_path)
    samples, prompts = pictures(1, count=4, size=28)[0], torch.tensor([0, 1, 2, 0])
    network, processor = CLIPModel.from_pretrained(tmp_path), CLIPProcessor.from_pretrained(tmp_path)
    rgb = [picture.expand(3, -1, -1) for picture in samples]
    given = processor(text=[TEXTS[i] for i in prompts], images=rgb, return_tensors="pt", padding=True)
    with torch.inference_mode():
        cosines = network(**given).logits_per_image.diagonal() / network.logit_scale.exp()
    values = metric.per_sample(samples, prompts)
    np.testing.assert_allclose(values, 100 * cosines, atol=2e-4)
    np.testing.assert_allclose(metric.per_sample(samples[1:2], prompts[1:2]), values[1:2], atol=1e-4)
    clips = metric.per_sample(samples.unflatten(0, (2, 2)), torch.tensor([0, 1]))
    frames = metric.per_sample(samples, torch.tensor([0, 0, 1, 1]))
    np.testing.assert_allclose(clips, frames.reshape(2, 2).mean(1), atol=1e-4)


def test_prompts_that_are_not_there_are_refused(tmp_path: Path) -> None:
    metric = tiny_clip(tmp_path)
    samples = pictures(1, count=2, size=28)[0]
    for texts in (None, ()):
        with pytest.raises(ValueError, match="this model has none: leave it out"):
            metric.meet(CPU, texts)
    for number in (-1, 3):
        with pytest.raises(ValueError, match=f"the prompt {number}, which has no text"):
            metric.per_sample(samples, torch.tensor([0, number]))


def test_one_of_several_numbers_is_chosen() -> None:
    class Pair(torchmetrics.Metric):
        higher_is_better = False

        def update(self, x: Tensor) -> None:
            self.seen = x

        def compute(self) -> dict[str, Tensor]:
            return {"low": self.seen.amin(), "high": self.seen.amax()}

    samples = pictures()[0]
    assert TorchMetric(Pair(), ["samples"], output="high").per_sample(samples).max() <= 1
    with pytest.raises(ValueError, match="Pair gives several numbers: choose one by `output`"):
        TorchMetric(Pair(), ["samples"]).per_sample(samples)
    with pytest.raises(ValueError, match="Pair has no output 'middle'"):
        TorchMetric(Pair(), ["samples"], output="middle").per_sample(samples)


def test_bad_input_is_one_line() -> None:
    ssim, (samples, baseline) = torchmetrics.image.StructuralSimilarityIndexMeasure(), pictures()
    settings: list[tuple[dict[str, Any], str]] = [
        ({"metric": "ssim"}, "metric='ssim' is no metric of torchmetrics"),
        ({"inputs": []}, "inputs=.* must be a list of names"),
        ({"scale": "bytes"}, "scale='bytes': there are unit, signed, levels, stored"),
        ({"dtype": "int8"}, "dtype='int8': there are float32, float64"),
        ({"cap": 0.0}, "cap=0.0 must be a finite number above 0"),
    ]
    for setting, message in settings:
        with pytest.raises(ValueError, match=message):
            TorchMetric(**{"metric": ssim, **setting})
    with pytest.raises(ValueError, match="does not say whether higher is better: set higher_is_better"):
        NetworkScore(nn.Identity())
    with pytest.raises(ValueError, match=r"is no torch\.nn\.Module"):
        NetworkScore(3)  # type: ignore[arg-type]
    vif = TorchMetric(torchmetrics.image.VisualInformationFidelity())
    with pytest.raises(
        ValueError, match=r"VisualInformationFidelity refuses these samples \(.*\): leave it out"
    ):
        vif.per_sample(samples[:, :, :20, :20], baseline[:, :, :20, :20])
    with pytest.raises(ValueError, match="inputs of equally many samples are needed"):
        vif.per_sample(samples, baseline[:2])
    with pytest.raises(ValueError, match="pictures of 2 channels cannot be shown as RGB"):
        TorchMetric(ssim, rgb=True).per_sample(samples[:, :2], baseline[:, :2])
    with pytest.raises(ValueError, match="sound cannot be shown as RGB"):
        NetworkScore(nn.Identity(), rgb=True, higher_is_better=True).per_sample(torch.zeros(1, 2, 9).short())
    with pytest.raises(ValueError, match=r"Identity gives .* for 5 pictures: it must give one number each"):
        NetworkScore(nn.Identity(), higher_is_better=True).per_sample(samples)
    with pytest.raises(ValueError, match="1 of 5 values are NaN or Inf"):
        vif.score(np.array([0.5, np.nan, 0.1, 0.2, 0.3]))


def test_what_takes_real_samples_by_the_batch_is_refused() -> None:
    fid = torchmetrics.image.MemorizationInformedFrechetInceptionDistance(feature=nn.Flatten())
    with pytest.raises(ValueError, match="asks of each batch whether it is real: take fid"):
        TorchMetric(fid)
