"""torchmetrics' classes over all samples: their own value, and the jackknife's interval where states are sums."""

from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.classification
import torchmetrics.image
import torchmetrics.regression
from torch import Tensor

from metrics.class_agreement import ClassAgreement
from metrics.score import BareScore, Score
from metrics.torchmetric_corpus import TorchMetricOverCorpus

LABELS = {"inputs": ["logits", "condition"]}


def pictures(count: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    baseline = torch.randint(0, 256, (count, 1, 16, 16), generator=generator)
    strength = torch.arange(1, count + 1).reshape(-1, 1, 1, 1)
    noise = torch.randint(-9, 10, baseline.shape, generator=generator) * strength
    return (baseline + noise).clamp(0, 255).to(torch.uint8), baseline.to(torch.uint8)


def logits(count: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    return torch.randn(count, 3, generator=generator) + torch.nn.functional.one_hot(labels, 3), labels


def value_over(metric: Any, *inputs: Tensor) -> float:
    metric.reset()
    metric.update(*inputs)
    return float(metric.compute())


def pooled_psnr() -> Any:
    return torchmetrics.image.PeakSignalNoiseRatio(data_range=1.0)


def test_the_error_is_pooled_and_its_interval_is_the_jackknife_s() -> None:
    samples, baseline = pictures()
    metric = TorchMetricOverCorpus(pooled_psnr(), dtype="float64")
    score = metric.score(metric.per_sample(samples, baseline).numpy())
    assert isinstance(score, Score)
    direct, pairs = pooled_psnr().set_dtype(torch.float64), (samples.double() / 255, baseline.double() / 255)
    assert score.value == pytest.approx(value_over(direct, *pairs), rel=1e-9)
    without = [value_over(direct, *(x[torch.arange(7) != i] for x in pairs)) for i in range(7)]
    variance = 6 / 7 * np.square(np.array(without) - np.mean(without)).sum()
    assert score.estimate.se == pytest.approx(np.sqrt(variance), rel=1e-8)
    assert abs(score.influence.mean()) < 1e-9 and score.influence[-1] < 0 < score.influence[0]


def test_batches_and_their_order_change_nothing() -> None:
    samples, baseline = pictures()
    metric = TorchMetricOverCorpus(pooled_psnr())
    states = metric.per_sample(samples, baseline)
    pieces = [metric.per_sample(samples[i:j], baseline[i:j]) for i, j in ((0, 1), (1, 4), (4, 7))]
    assert torch.equal(torch.cat(pieces), states)
    assert metric.score(states.flip(0).numpy()).value == pytest.approx(
        metric.score(states.numpy()).value, rel=1e-12
    )


def test_identical_samples_count_as_the_cap() -> None:
    _, baseline = pictures()
    metric = TorchMetricOverCorpus(pooled_psnr(), cap=60.0)
    score = metric.score(metric.per_sample(baseline, baseline).numpy())
    assert isinstance(score, Score) and (score.value, score.estimate.se) == (60.0, 0.0)
    with pytest.raises(ValueError, match="PeakSignalNoiseRatio is inf: look for broken samples"):
        TorchMetricOverCorpus(pooled_psnr()).score(metric.per_sample(baseline, baseline).numpy())


def test_counts_stay_whole() -> None:
    rows, labels = logits()
    metric = TorchMetricOverCorpus(
        torchmetrics.classification.MulticlassAccuracy(num_classes=3, average="micro"), **LABELS
    )
    score = metric.score(metric.per_sample(rows, labels).numpy())
    ours = ClassAgreement()
    expected = ours.score(ours.per_sample(rows, labels).numpy())
    assert isinstance(score, Score) and score.value == pytest.approx(expected.value, abs=1e-7)
    np.testing.assert_allclose(score.influence, expected.influence, atol=1e-6)


class SquaredLevel(torchmetrics.Metric):
    """The square of a mean over samples, whose state torchmetrics merges by a mean."""

    higher_is_better, level = True, torch.zeros(())

    def __init__(self) -> None:
        super().__init__()
        self.add_state("level", torch.zeros(()), dist_reduce_fx="mean")

    def update(self, samples: Tensor) -> None:
        self.level = samples.double().mean()

    def compute(self) -> Tensor:
        return self.level**2


def test_states_that_are_means_have_the_jackknife_s_interval_too() -> None:
    samples, _ = pictures()
    metric = TorchMetricOverCorpus(SquaredLevel(), inputs=["samples"], dtype="float64")
    levels = metric.per_sample(samples).numpy()[:, 0]
    score = metric.score(levels[:, None])
    without = np.array([np.delete(levels, i).mean() ** 2 for i in range(7)])
    assert isinstance(score, Score) and score.value == pytest.approx(levels.mean() ** 2)
    np.testing.assert_allclose(score.influence, 6 * (without.mean() - without), rtol=1e-9)


def test_what_merges_otherwise_has_a_value_and_no_interval() -> None:
    rows, labels = logits()
    rows = rows.softmax(1)
    wrapped = torchmetrics.classification.MulticlassCalibrationError(num_classes=3)
    metric = TorchMetricOverCorpus(wrapped, **LABELS)
    score = metric.score(metric.per_sample(rows, labels).numpy())
    direct = torchmetrics.classification.MulticlassCalibrationError(num_classes=3)
    assert isinstance(score, BareScore) and score.flag.startswith("no interval") and score.count == 40
    assert score.value == pytest.approx(value_over(direct, rows, labels), abs=1e-6)


def test_bad_input_is_one_line() -> None:
    samples, baseline = pictures()
    ergas = TorchMetricOverCorpus(torchmetrics.image.ErrorRelativeGlobalDimensionlessSynthesis())
    large = (x.repeat(1, 1, 4, 4) for x in (samples, baseline))
    with pytest.raises(ValueError, match="keeps 8206 numbers of a sample, at most 4096 are stored: take"):
        ergas.per_sample(*large)
    metric = TorchMetricOverCorpus(pooled_psnr())
    with pytest.raises(ValueError, match="needs the states of at least 2 samples"):
        metric.score(metric.per_sample(samples[:1], baseline[:1]).numpy())
    states = metric.per_sample(samples, baseline).numpy()
    states[3] = np.nan
    with pytest.raises(ValueError, match="is nan: look for broken samples"):
        metric.score(states)
    with pytest.raises(ValueError, match="PeakSignalNoiseRatio refuses these samples"):
        metric.per_sample(samples, baseline[:, :, :8])
    with pytest.raises(ValueError, match="is no metric of torchmetrics"):
        TorchMetricOverCorpus(torch.nn.Identity())  # type: ignore[arg-type]


def test_a_score_without_an_interval_says_why() -> None:
    for value, count, flag in ((float("nan"), 5, "no interval"), (1.0, 1, "no interval"), (1.0, 5, "")):
        with pytest.raises(ValueError, match="is no score"):
            BareScore(value, count, flag)
