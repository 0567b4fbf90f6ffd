"""Distances of clips against their formulas, written out, and what they refuse."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from metrics.audio_distances import SISDR, LogMelL1, MultiResolutionSTFT
from metrics.features import Features
from metrics.score import SampleMean
from tests.support.audio_nets import notes, stereo
from tests.support.latent_dits import refusal

DISTANCES: list[SampleMean] = [MultiResolutionSTFT(), LogMelL1(16_000), SISDR()]


def even_clips(count: int = 3, channels: int = 2, seed: int = 0) -> Tensor:
    """Loud noise whose half is a whole number, int16 [count, channels, 6000]."""
    audio = torch.randint(-5000, 5001, (count, channels, 6000), generator=torch.Generator().manual_seed(seed))
    return (2 * audio).to(torch.int16)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [(MultiResolutionSTFT(), 0.5 + np.log(2)), (LogMelL1(16_000), 20 * np.log10(2)), (SISDR(), 60.0)],
)
def test_half_the_loudness_has_a_closed_form(metric: SampleMean, expected: float) -> None:
    clips = even_clips()
    found = metric.per_sample(clips // 2, clips)
    assert found.dtype == torch.float64
    # a few quiet bins of noise lie below the floor of the logarithm
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3)


@pytest.mark.parametrize("metric", DISTANCES)
def test_the_same_clip_and_any_batches(metric: SampleMean) -> None:
    clips, others = even_clips(), even_clips(seed=1)
    best = 60.0 if metric.higher_is_better else 0.0
    assert metric.per_sample(clips, clips).tolist() == [best] * 3
    each = metric.per_sample(clips, others)
    assert torch.equal(each[1:2], metric.per_sample(clips[1:2], others[1:2]))
    score = metric.score(each.numpy())
    assert score.quantiles is not None and score.value == pytest.approx(each.mean().item())


def test_si_sdr_is_its_formula_and_torchmetrics() -> None:
    clips, others = even_clips(), even_clips(seed=1)
    samples = (clips + others // 8).to(torch.int16)
    found = SISDR().per_sample(samples, clips)
    theirs = scale_invariant_signal_distortion_ratio(samples.double().flatten(1), clips.double().flatten(1))
    np.testing.assert_allclose(found.numpy(), theirs.numpy(), rtol=1e-9)
    # orthogonal noise of an eighth: the ratio is that of the energies
    base = torch.zeros(1, 1, 4096, dtype=torch.int16)
    noisy = base.clone()
    base[..., ::2], noisy[..., ::2], noisy[..., 1::2] = 8000, 8000, 1000
    assert SISDR().per_sample(noisy, base).item() == pytest.approx(20 * np.log10(8), rel=1e-12)
    assert SISDR().per_sample(torch.zeros_like(base), base).item() == -60.0


def test_multi_resolution_stft_is_its_formula() -> None:
    """Frame by frame with numpy's FFT, as Parallel WaveGAN defines it."""
    clip, other = even_clips(1, 1)[0, 0].double() / 32768, even_clips(1, 1, 5)[0, 0].double() / 32768
    parts = []
    for fft, hop, window in ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200)):
        a, b = (np.maximum(stft(each.numpy(), fft, hop, window), 10**-3.5) for each in (clip, other))
        parts.append(np.sqrt(((a - b) ** 2).sum() / (b**2).sum()) + np.abs(np.log(a) - np.log(b)).mean())
    found = MultiResolutionSTFT().per_sample(even_clips(1, 1), even_clips(1, 1, 5))
    assert found.item() == pytest.approx(np.mean(parts), rel=1e-9)


def stft(audio: Features, fft: int, hop: int, window: int) -> Features:
    framed, left = np.pad(audio, fft // 2, mode="reflect"), (fft - window) // 2
    shape = np.zeros(fft)
    shape[left : left + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    starts = range(0, len(framed) - fft + 1, hop)
    return np.abs(np.stack([np.fft.rfft(framed[start : start + fft] * shape) for start in starts]))


def test_log_mel_l1_hears_a_tone_where_it_is() -> None:
    low, same, high = (notes(0, [pitch], 0)[None] for pitch in (440.0, 440.0, 880.0))
    metric = LogMelL1(16_000)
    assert metric.per_sample(same, low).item() == 0 and metric.per_sample(high, low).item() > 3
    assert metric._bands.shape == (80, 513) and metric._bands.max() <= 1


@pytest.mark.parametrize("metric", DISTANCES)
def test_bad_pairs_are_one_clear_line(metric: SampleMean) -> None:
    clips = even_clips()
    silent = clips.clone()
    silent[1] = 0
    for samples, baseline, message in (
        (clips[:, :1], clips, "differ in number, channels or length: pair them by seed"),
        (clips[:2], clips, "pair them by seed"),
        (clips.double() / 0, clips, r"samples must be clips int16 \[B, C, T\], not torch.float64"),
        (clips, clips[0], "baseline must be clips int16"),
        (clips, silent, "1 of 3 uncached clips are silent"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            metric.per_sample(samples, baseline)
        assert "\n" not in str(error.value)


def test_short_clips_and_bad_settings_are_one_clear_line() -> None:
    short = even_clips()[..., :1000]
    for metric, window in ((MultiResolutionSTFT(), 2048), (LogMelL1(16_000), 1024)):
        with pytest.raises(ValueError, match=f"1000 frames are shorter than the window of {window}"):
            metric.per_sample(short, short)
    settings: list[tuple[Any, dict[str, Any], str]] = [
        (LogMelL1, {"rate": 0}, "rate=0 must be a whole number from 1"),
        (LogMelL1, {"rate": 16_000, "fft": 64}, "bands hold no line of an FFT of 64"),
        (LogMelL1, {"rate": 16_000, "floor": 0.0}, "floor=0.0 must be"),
        (SISDR, {"cap": 0.0}, "cap="),
    ]
    for make, arguments, message in settings:
        with pytest.raises(ValueError, match=message):
            make(**arguments)


def test_what_is_silent_to_multi_resolution_stft() -> None:
    clips = stereo(4096, 1)
    for peak in (3, 4):
        quiet = (clips.sign() * peak).to(torch.int16)
        if peak == 3:
            refusal(lambda quiet=quiet: MultiResolutionSTFT().per_sample(clips, quiet), "clips are silent")
        else:
            assert MultiResolutionSTFT().per_sample(clips, quiet).isfinite().all()
        assert LogMelL1(16_000).per_sample(clips, quiet).isfinite().all()
