"""What goes wrong while samples are made or scored: it is named, and the others go on."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metrics.score import SampleMean
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import PointsFailed
from smoothbench.media.codecs import pcm
from smoothbench.models.opensora.vae import pixels
from smoothbench.sampling.point_batches import decoded
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import FeatureCache
from smoothbench.storage.sample_files import Samples
from tests.support.audio_nets import stereo
from tests.support.compose import composed, experiment
from tests.support.latent_dits import CPU
from tests.support.opensora import opensora, published

AUDIO = ("model=stable_audio_nano", "metrics=[audio/mrstft,audio/mel_l1]")


@pytest.fixture(scope="module")
def nano_audio() -> Any:
    return build_model(settings(composed(*AUDIO)).model, CPU)


def test_a_metric_that_refuses_leaves_the_others_their_scores(nano_audio: Any, tmp_path: Path) -> None:
    scorer = Scorer(settings(composed(*AUDIO)).metrics, nano_audio, FeatureCache(tmp_path))
    clips = stereo(32_768, 3)[:, :1]
    quiet = clips.clone()
    quiet[2] = clips[2].sign() * 3
    for name, audio in (("one", clips), ("two", quiet)):
        samples = Samples(tmp_path, name, range(3), 2, nano_audio.media)
        for batch in samples.batches():
            samples.write(batch, audio[batch[0] : batch[-1] + 1])
    one, two = (Samples(tmp_path, name, range(3), 2, nano_audio.media) for name in ("one", "two"))
    scorer.extract(one, two, ["mrstft", "mel_l1"])
    scores, reasons = scorer.scores([("one", "two", range(3))])
    assert set(scores) == {"mel_l1@3"}
    assert len(reasons) == 1 and reasons[0].startswith("mrstft: 1 of 1 uncached clips are silent")


class Refuses(SampleMean):
    """A metric that takes no pair of samples."""

    inputs: tuple[str, ...] = ("samples", "baseline")
    higher_is_better = True

    def per_sample(self, *inputs: Tensor) -> Tensor:
        raise ValueError("these are no good")


def test_a_metric_that_refuses_does_not_fail_the_sampling(tmp_path: Path) -> None:
    cfg = settings(composed("metrics=[psnr]"))
    node = {"metric": {"_target_": f"{__name__}.Refuses"}}
    running = experiment(tmp_path, "only=[fora]", "metrics=[psnr]", "num_samples=2")
    assert cfg.metrics.keys() == running.bench.scorer.nodes.keys()
    bench = running.bench
    scorer = Scorer({**cfg.metrics, "refuses": node}, bench.model, bench.scorer.observations)
    running.bench = replace(bench, scorer=scorer)
    with pytest.raises(PointsFailed):
        running.run()
    (record,) = (r for r in running.store.records() if r.status.quality == "failed")
    assert record.reason == "refuses: these are no good" and set(record.scores) == {"psnr@2"}


class Breaks(Refuses):
    """A user's metric with a mistake in it."""

    def per_sample(self, *inputs: Tensor) -> Tensor:
        raise KeyError("boom")


class Bare(Refuses):
    """A user's metric that returns a number of numpy, or no score at all."""

    def __init__(self, sound: bool) -> None:
        self.sound = sound

    def per_sample(self, *inputs: Tensor) -> Tensor:
        return inputs[0].flatten(1).double().mean(1)

    def score(self, values: Any) -> Any:
        made = super().score(values)
        return replace(made, value=np.float32(made.value)) if self.sound else 0.5


def test_a_mistake_in_a_metric_costs_its_own_score_alone(tmp_path: Path) -> None:
    cfg = settings(composed("metrics=[psnr]"))
    running = experiment(tmp_path, "only=[fora]", "metrics=[psnr]", "num_samples=2")
    own = {
        "breaks": {"metric": {"_target_": f"{__name__}.Breaks"}},
        "bare": {"metric": {"_target_": f"{__name__}.Bare", "sound": False}},
        "numpy": {"metric": {"_target_": f"{__name__}.Bare", "sound": True}},
    }
    bench = running.bench
    scorer = Scorer({**cfg.metrics, **own}, bench.model, bench.scorer.observations)
    running.bench = replace(bench, scorer=scorer)
    with pytest.raises(PointsFailed):
        running.run()
    (record,) = (r for r in running.store.records() if r.status.quality == "failed")
    assert record.reason is not None and set(record.scores) == {"psnr@2", "numpy@2"}
    reasons = set(record.reason.split("; "))
    assert reasons == {
        "breaks: KeyError: 'boom'",
        "bare: its score() returned a float, not a Score or BareScore",
    }


def test_audio_that_is_not_finite_is_no_silence(nano_audio: Any) -> None:
    for bad in (math.nan, math.inf):
        with pytest.raises(FloatingPointError, match="not finite"):
            pcm(torch.tensor([0.0, bad]))
    x = torch.zeros(3, *nano_audio.sample_shape)
    x[1] = math.nan
    with pytest.raises(FloatingPointError, match=r"audio is not finite: 1 of 3 samples \(seeds \[8\]\)"):
        decoded(nano_audio, x, [7, 8, 9])
    assert decoded(nano_audio, x[:1], [7]).shape[1:] == nano_audio.clip_shape


@pytest.fixture(scope="module")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's parts, not to be written to."""
    return published(tmp_path_factory.mktemp("published"))


def test_frames_that_are_not_finite_are_not_black(tiny_repository: Path) -> None:
    nano: Any = build_model(settings(composed("model=opensora_nano", "metrics=[video/psnr]")).model, CPU)
    for bad in (math.nan, math.inf):
        with pytest.raises(FloatingPointError, match="the decoded frames are not finite"):
            pixels(torch.full((1, 3, 2, 4, 4), bad))
    for model in (nano, opensora(tiny_repository)):
        x = torch.zeros(3, *model.sample_shape)
        x[1, 0, 0, 0, 0] = math.nan
        with pytest.raises(FloatingPointError, match=r"not finite: 1 of 3 samples \(seeds \[8\]\)"):
            decoded(model, x, [7, 8, 9])
