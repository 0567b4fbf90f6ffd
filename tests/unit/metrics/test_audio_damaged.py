"""Clips damaged in known ways, through the embedded networks: each audio metric moves the way it should, or is blind.

36 clips of notes play the samples, other renditions of the same six phrases the real side and the prompts. Swapped
prompts, the same clips in another order: seen only by what knows the prompt or the uncached clip. A shift by
10 ms: the ear does not mind, nor do the networks; the waveform's ratio does.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfiltfilt
from torch import Tensor

from metrics.audio_distances import SISDR, LogMelL1, MultiResolutionSTFT
from metrics.clap_score import ClapScore
from metrics.frechet_windows import WindowedFrechetDistance
from metrics.inference import paired_difference
from metrics.prompt_agreement import PromptAgreement
from metrics.score import Score
from metrics.tag_divergence import TagDivergence
from smoothbench.models.nano.audio.clap import load_clap
from smoothbench.models.nano.audio.tagger import load_tagger
from tests.support.audio_nets import notes

pytestmark = pytest.mark.slow  # scores of many damaged sets, once for all cases

Found = dict[str, dict[str, Score]]  # by damage and metric

EACH = 6
RISING = [261.6 * 2 ** (step / 12) for step in (0, 2, 4, 5, 7, 9, 11, 12)]
PHRASES = [(timbre, pitches) for timbre in range(3) for pitches in (RISING, [196.0])]
PAIRED = {"mrstft", "mel_l1", "si_sdr"}
PROMPTED = {"kl", "clap", "agreement"}
SEEN = {
    "noise": {"fd", *PROMPTED, *PAIRED},
    "low pass": {"fd", "kl", "clap", *PAIRED},
    "silence": {"fd", *PROMPTED, *PAIRED},
    "swapped": {*PROMPTED, *PAIRED},
    "shift": PAIRED,
}


def renditions(first: int) -> Tensor:
    """Every phrase in turn, each with a seed of its own, int16 [36, 1, 32768]."""
    phrases = [PHRASES[i % 6] for i in range(6 * EACH)]
    return torch.stack([notes(timbre, pitches, first + i) for i, (timbre, pitches) in enumerate(phrases)])


def noise(clips: Tensor, decibels: float) -> Tensor:
    """White noise so many dB below each clip."""
    power = clips.double().square().mean((1, 2), keepdim=True).sqrt() * 10 ** (-decibels / 20)
    added = power * torch.randn(clips.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (clips + added).round().clamp(-32768, 32767).to(torch.int16)


def low_pass(clips: Tensor) -> Tensor:
    """Nothing above 300 Hz."""
    filtered = sosfiltfilt(butter(8, 300, fs=16_000, output="sos"), clips.double().numpy())
    return torch.from_numpy(filtered.copy()).round().to(torch.int16)


class Bench:
    """Scores clips; what the clean ones are heard as counts as asked for."""

    def __init__(self) -> None:
        self.tagger = load_tagger("evaluators/tagger.safetensors")
        self.towers = load_clap("evaluators/clap.safetensors")
        self.clean, self.condition = renditions(0), torch.arange(6 * EACH) % 6
        own, others = self.encoded(self.clean), self.encoded(renditions(1000))

        def of_phrases(rows: Tensor) -> Tensor:
            return rows.unflatten(0, (EACH, 6)).mean(0)

        self.metrics: dict[str, Any] = {
            "fd": WindowedFrechetDistance(),
            "kl": TagDivergence(of_phrases(others["logits"])),
            "clap": ClapScore(of_phrases(others["embedding"])),
            "agreement": PromptAgreement(of_phrases(own["logits"]).argmax(1)),
            "mrstft": MultiResolutionSTFT(),
            "mel_l1": LogMelL1(16_000),
            "si_sdr": SISDR(),
        }
        self.metrics["fd"].fit(others["windows"].numpy())

    @torch.inference_mode()
    def encoded(self, clips: Tensor) -> dict[str, Tensor]:
        return {**self.tagger(clips), **self.towers(clips)}

    def scores(self, clips: Tensor) -> dict[str, Score]:
        inputs = {
            **self.encoded(clips),
            "samples": clips,
            "baseline": self.clean,
            "condition": self.condition,
        }
        return {name: metric.score(rows_of(metric, inputs)) for name, metric in self.metrics.items()}


def rows_of(metric: Any, inputs: Mapping[str, Tensor]) -> Any:
    given = [inputs[name] for name in metric.inputs]
    rows: Tensor = metric.per_sample(*given) if hasattr(metric, "per_sample") else given[0]
    return rows.numpy()


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="module")
def scores(bench: Bench) -> Found:
    clips = bench.clean
    return {
        "none": bench.scores(clips),
        "light noise": bench.scores(noise(clips, 30)),
        "noise": bench.scores(noise(clips, 0)),
        "low pass": bench.scores(low_pass(clips)),
        "silence": bench.scores(torch.zeros_like(clips)),
        "swapped": bench.scores(clips.roll(3, 0)),
        "shift": bench.scores(clips.roll(160, 2)),
    }


def loss(bench: Bench, name: str, score: Score, rival: Score) -> tuple[float, float]:
    """How much worse than the rival, and its standard error."""
    difference = paired_difference(score, rival)
    return (-1.0 if bench.metrics[name].higher_is_better else 1.0) * difference.value, difference.se


@pytest.mark.parametrize(("damage", "name"), [(d, n) for d in SEEN for n in sorted(SEEN[d])])
def test_damage_is_heard(bench: Bench, scores: Found, damage: str, name: str) -> None:
    worse, error = loss(bench, name, scores[damage][name], scores["none"][name])
    assert worse > 4 * error and worse > 0


@pytest.mark.parametrize("name", ["fd", "kl", "clap", "mrstft", "mel_l1", "si_sdr"])
def test_more_noise_is_worse(bench: Bench, scores: Found, name: str) -> None:
    worse, error = loss(bench, name, scores["noise"][name], scores["light noise"][name])
    assert worse > 4 * error


def test_whole_sets_are_blind_to_swapped_prompts(scores: Found) -> None:
    assert scores["swapped"]["fd"].value == pytest.approx(scores["none"]["fd"].value, rel=1e-6)


def test_a_shift_is_worse_for_the_waveform_than_for_the_ear(bench: Bench, scores: Found) -> None:
    assert scores["shift"]["si_sdr"].value < 10 < scores["light noise"]["si_sdr"].value
    for name in ("fd", "kl"):
        shift, noisy = (
            loss(bench, name, scores[d][name], scores["none"][name])[0] for d in ("shift", "noise")
        )
        assert abs(shift) < 0.1 * noisy


def test_noise_has_its_ratio(scores: Found) -> None:
    assert scores["light noise"]["si_sdr"].value == pytest.approx(30, abs=0.1)
    assert scores["noise"]["si_sdr"].value == pytest.approx(0, abs=0.2)


def test_whole_clips_score_best(scores: Found) -> None:
    clean = {name: score.value for name, score in scores["none"].items()}
    assert (clean["mrstft"], clean["mel_l1"], clean["si_sdr"]) == (0.0, 0.0, 60.0)
    assert clean["agreement"] > 0.7 and clean["clap"] > 0.8 and clean["kl"] < 1
    assert np.isfinite(list(clean.values())).all()
