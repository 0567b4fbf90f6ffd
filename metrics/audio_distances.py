"""Distances of a clip to the uncached one of the same seed that need no network."""

import math
from abc import abstractmethod
from typing import Final

import torch
from torch import Tensor

from metrics.score import SampleMean
from metrics.spectra import magnitudes, mel_bands

FULL_SCALE: Final = 32768.0
RESOLUTIONS: Final = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # FFT, hop, window
SILENCE: Final = 10 ** (-80 / 20)  # of full scale; three steps of 16 bits lie below it
QUIETEST: Final = 10**-3.5  # magnitude that Parallel WaveGAN's logarithm starts at, about 16-bit rounding


class ClipDistance(SampleMean):
    """Mean over samples of a distance to the uncached clip; clips are compared one by one, all channels at once."""

    inputs: tuple[str, ...] = ("samples", "baseline")
    higher_is_better = False
    is_distance = True
    shortest = 1  # frames
    audible = 1 / FULL_SCALE  # a peak below it is silence

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Distances, float64 [B], of two int16 [B, C, T].

        Raises ValueError for others, for clips shorter than a window, and where an uncached clip is silent.
        """
        samples, baseline = _pair(inputs[0], inputs[1], self.shortest, self.audible)
        each = [self.distance(clip, other) for clip, other in zip(samples, baseline, strict=True)]
        return torch.stack(each)

    @abstractmethod
    def distance(self, clip: Tensor, other: Tensor) -> Tensor:
        """Of a clip [C, T] to the uncached one, both float64 in -1 .. 1."""


class MultiResolutionSTFT(ClipDistance):
    """Spectral convergence plus log-magnitude L1 (nats), mean over three resolutions.

    The auxiliary loss of Parallel WaveGAN (Yamamoto et al. 2020, arXiv 1910.11480), its resolutions: FFTs of
    512, 1024 and 2048 samples, at any rate. A pure gain g costs |1 - g| + |ln g|. An uncached clip whose
    peak is below -80 dB of full scale is silent: the logarithm's floor hides it.
    """

    audible = SILENCE
    shortest = max(fft for fft, _, _ in RESOLUTIONS)
    name = "mrstft"
    version = 1

    def distance(self, clip: Tensor, other: Tensor) -> Tensor:
        parts = []
        for resolution in RESOLUTIONS:
            a, b = (magnitudes(audio, *resolution).clamp(min=QUIETEST) for audio in (clip, other))
            parts.append((a - b).norm() / b.norm() + (a.log() - b.log()).abs().mean())
        return torch.stack(parts).mean()


class LogMelL1(ClipDistance):
    """Mean absolute difference of log-mel spectrograms, in dB, over bands, frames and channels.

    As HiFi-GAN's loss (Kong et al. 2020, arXiv 2010.05646), but in dB, and what is quieter than `floor` dB
    counts as that loud. 0 dB is the magnitude that a sine of full scale has at its own line of the
    spectrum; a band adds up its lines' under a triangle of peak 1, so that a steady such sine comes to up
    to +6 dB in bands of many lines, and down to -7 dB in bands of few (44.1 kHz, else as by default).
    `rate` in Hz must be the clips' own, `fft` and `hop` are samples. Raises ValueError for settings that
    are not whole numbers from 1, a floor not below 0, and bands narrower than the spectrum's lines.
    """

    name = "mel_l1"
    version = 1

    def __init__(
        self, rate: int, fft: int = 1024, hop: int = 256, bands: int = 80, floor: float = -80.0
    ) -> None:
        for name, value in (("rate", rate), ("fft", fft), ("hop", hop), ("bands", bands)):
            if type(value) is not int or value < 1:
                raise ValueError(f"LogMelL1 {name}={value!r:.60} must be a whole number from 1")
        if not (math.isfinite(floor) and floor < 0):
            raise ValueError(
                f"LogMelL1 floor={floor} must be a finite number of dB below 0, for instance -80"
            )
        self.rate, self.shortest, self._hop, self._floor = rate, fft, hop, 10 ** (floor / 20)
        self._bands = mel_bands(rate, fft, bands)
        if empty := int((self._bands.sum(1) == 0).sum()):
            raise ValueError(
                f"LogMelL1: {empty} of {bands} bands hold no line of an FFT of {fft}: take fewer"
            )

    def distance(self, clip: Tensor, other: Tensor) -> Tensor:
        return (self._decibels(clip) - self._decibels(other)).abs().mean()

    def _decibels(self, audio: Tensor) -> Tensor:
        # Hann's window leaves a quarter of its length of a sine's amplitude
        scaled = magnitudes(audio, self.shortest, self._hop, self.shortest) * (4 / self.shortest)
        return 20 * (self._bands @ scaled).clamp(min=self._floor).log10()


class SISDR(ClipDistance):
    """Scale-invariant signal-to-distortion ratio to the uncached clip, in dB, within +- `cap`.

    Le Roux et al. 2019 (arXiv 1811.02508), without removing means; channels share one scale.
    Identical clips would be infinite: 60 dB is an error of a thousandth. Blind to gain, and very sensitive to
    phase: a clip that sounds the same a few samples later scores low. Raises ValueError for a cap not above 0.
    """

    higher_is_better = True
    name = "si_sdr"
    version = 1

    def __init__(self, cap: float = 60.0) -> None:
        if not (math.isfinite(cap) and cap > 0):
            raise ValueError(f"SISDR cap={cap} must be a finite number of dB above 0, for instance 60")
        self._cap = cap

    def distance(self, clip: Tensor, other: Tensor) -> Tensor:
        target = (clip * other).sum() / other.square().sum() * other
        energy, error = target.square().sum(), (clip - target).square().sum()
        if energy == 0:  # silence and what is orthogonal: nothing of the signal is there
            return torch.tensor(-self._cap, dtype=torch.float64)
        return (10 * (energy / error).log10()).clamp(-self._cap, self._cap)


def _pair(samples: Tensor, baseline: Tensor, shortest: int, audible: float) -> tuple[Tensor, Tensor]:
    """Both as float64 in -1 .. 1; ValueError as `ClipDistance.per_sample` has it."""
    for name, clips in (("samples", samples), ("baseline", baseline)):
        if clips.dtype != torch.int16 or clips.ndim != 3 or 0 in clips.shape:
            raise ValueError(f"{name} must be clips int16 [B, C, T], not {clips.dtype} {list(clips.shape)}")
    if samples.shape != baseline.shape:
        raise ValueError(
            f"samples {list(samples.shape)} and baseline {list(baseline.shape)} differ in number, channels or "
            "length: pair them by seed, at one setting of the model"
        )
    if samples.shape[2] < shortest:
        raise ValueError(
            f"clips of {samples.shape[2]} frames are shorter than the window of {shortest}: leave the metric out"
        )
    if silent := int((baseline.double().abs().flatten(1).amax(1) < audible * FULL_SCALE).sum()):
        raise ValueError(
            f"{silent} of {len(baseline)} uncached clips are silent: there is nothing to compare with; "
            "look at the model's settings"
        )
    return samples.double() / FULL_SCALE, baseline.double() / FULL_SCALE
