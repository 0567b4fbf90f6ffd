"""Real images, damaged in known ways: each metric moves the way it should, or stays where it is blind.

240 test images play the samples and 960 others the real side, seen through the embedded evaluation network.
Noise and blur: seen by every metric. Wrong class, the same images in another order: seen only by what knows
the class or the uncached sample; what compares whole sets is blind. Dropped modes, other images of half of
the classes alone: seen by what compares whole sets, the inception score included; precision is blind.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metrics.class_agreement import ClassAgreement
from metrics.features import Features
from metrics.frechet import FrechetDistance
from metrics.frechet_extrapolated import FrechetExtrapolated
from metrics.frechet_spatial import SpatialFrechetDistance
from metrics.inception_score import InceptionScore
from metrics.inference import paired_difference
from metrics.kid import KernelDistance
from metrics.paired import PSNR, SSIM
from metrics.perceptual import PerceptualDistance
from metrics.precision_recall import Precision, Recall
from metrics.score import Score
from smoothbench.models.nano.image.evaluator import embedded, load_evaluator

pytestmark = pytest.mark.slow  # scores of many damaged sets, once for all cases

Found = dict[str, dict[str, Score]]  # by damage and metric

COUNT = 240
METRICS: dict[str, Any] = {
    "fd": FrechetDistance,
    "fd_inf": FrechetExtrapolated,
    "sfd": SpatialFrechetDistance,
    "kid": KernelDistance,
    "precision": Precision,
    "recall": Recall,
    "is": InceptionScore,
    "agreement": ClassAgreement,
    "psnr": PSNR,
    "ssim": SSIM,
    "dist": PerceptualDistance,
}
SEEN = {
    "noise": set(METRICS),
    "blur": set(METRICS),
    "wrong class": {"agreement", "psnr", "ssim", "dist"},
    "dropped modes": {"fd", "fd_inf", "sfd", "kid", "recall", "is"},
}


def noise(images: Tensor, strength: float) -> Tensor:
    added = strength * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + added).round().clamp(0, 255).to(torch.uint8)


def blur(images: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(images.float(), 5, 1, 2).round().to(torch.uint8)


def rows_of(metric: Any, inputs: Mapping[str, Tensor]) -> Features:
    given = [inputs[name] for name in metric.inputs]
    kept: Tensor = metric.per_sample(*given) if hasattr(metric, "per_sample") else given[0]
    return kept.numpy()


class Bench:
    """Scores sets of images against one real side; the clean images are the uncached samples."""

    def __init__(self) -> None:
        self.evaluator = load_evaluator("evaluator/model.safetensors")
        with np.load(embedded("real/images.npz"), allow_pickle=False) as archive:
            images = torch.from_numpy(archive["arr_0"][: 8 * COUNT]).permute(0, 3, 1, 2)
        self.clean, real, self.others = images.split([COUNT, 4 * COUNT, 3 * COUNT])
        self.outputs, encoded_real = self.encoded(self.clean), self.encoded(real)
        self.metrics = {name: make() for name, make in METRICS.items()}
        for metric in self.metrics.values():
            if hasattr(metric, "fit"):
                metric.fit(rows_of(metric, encoded_real))

    @property
    def seen_classes(self) -> Tensor:
        """What the network sees in the clean images; this counts as asked for."""
        return self.outputs["logits"].argmax(1)

    @torch.inference_mode()
    def encoded(self, images: Tensor) -> dict[str, Tensor]:
        return {"samples": images, **self.evaluator(images)}

    def scores(self, images: Tensor) -> dict[str, Score]:
        baseline = {f"baseline.{name}": rows for name, rows in self.outputs.items()}
        paired = {**baseline, "baseline": self.clean, "condition": self.seen_classes}
        inputs = {**self.encoded(images), **paired}
        return {name: metric.score(rows_of(metric, inputs)) for name, metric in self.metrics.items()}

    def in_another_order(self) -> Tensor:
        """The same images, each in the place of another class."""
        by_class = torch.argsort(self.seen_classes, stable=True)
        places = torch.empty_like(by_class)
        places[by_class] = by_class.roll(COUNT // 3)
        return self.clean[places]

    def half_the_classes(self) -> Tensor:
        """Other images, of the classes 0 to 4 as the network sees them."""
        classes = self.encoded(self.others)["logits"].argmax(1)
        return self.others[classes < 5][:COUNT]


@pytest.fixture(scope="module")
def scores() -> Found:
    bench = Bench()
    return {
        "none": bench.scores(bench.clean),
        "light noise": bench.scores(noise(bench.clean, 12.0)),
        "noise": bench.scores(noise(bench.clean, 40.0)),
        "blur": bench.scores(blur(bench.clean)),
        "wrong class": bench.scores(bench.in_another_order()),
        "dropped modes": bench.scores(bench.half_the_classes()),
    }


def loss(name: str, score: Score, rival: Score) -> tuple[float, float]:
    """How much worse than the rival, and its standard error."""
    difference = paired_difference(score, rival)
    return (-1.0 if METRICS[name].higher_is_better else 1.0) * difference.value, difference.se


@pytest.mark.parametrize(("damage", "name"), [(d, n) for d in SEEN for n in METRICS if n in SEEN[d]])
def test_damage_is_seen(scores: Found, damage: str, name: str) -> None:
    worse, error = loss(name, scores[damage][name], scores["none"][name])
    assert worse > 4 * error


@pytest.mark.parametrize("name", METRICS)
def test_more_noise_is_worse(scores: Found, name: str) -> None:
    worse, error = loss(name, scores["noise"][name], scores["light noise"][name])
    assert worse > 4 * error


@pytest.mark.parametrize("name", ["fd", "sfd", "kid", "precision", "recall", "is"])
def test_what_compares_sets_is_blind_to_the_wrong_class(scores: Found, name: str) -> None:
    assert scores["wrong class"][name].value == pytest.approx(scores["none"][name].value, rel=1e-6)


def test_precision_is_blind_to_dropped_modes(scores: Found) -> None:
    worse, error = loss("precision", scores["dropped modes"]["precision"], scores["none"]["precision"])
    assert abs(worse) < 3 * error


def test_whole_images_are_as_good_as_real(scores: Found) -> None:
    clean = scores["none"]
    assert clean["kid"].estimate.low < 0 < clean["kid"].estimate.high
    assert abs(clean["fd_inf"].value) < clean["fd"].value
    assert clean["precision"].value > 0.85 and clean["recall"].value > 0.85
    assert (clean["agreement"].value, clean["psnr"].value, clean["dist"].value) == (1.0, 60.0, 0.0)
