"""Audio distances that need no network: from a clip to the uncached clip of the same seed."""

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
# smallest magnitude in Parallel WaveGAN's logarithm: about the rounding of 16 bits
QUIETEST: Final = 10**-3.5


class ClipDistance(SampleMean):
    """The mean over samples of a distance between a clip and the uncached clip of the same seed.

    Clips are compared one by one, with all their channels at once.
    """

    inputs: tuple[str, ...] = ("samples", "baseline")
    higher_is_better = False
    is_distance = True
    on_device = True
    shortest = 1  # frames
    audible = 1 / FULL_SCALE  # a peak below it is silence

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Compute the distances, float64 [B], between samples and uncached clips, both int16 [B, C, T].

        Raises ValueError for other inputs, for clips shorter than a window, and where an uncached clip is silent.
        """
        samples, baseline = _pair(inputs[0], inputs[1], self.shortest, self.audible)
        return torch.stack(
            [self.distance(clip, other) for clip, other in zip(samples, baseline, strict=True)]
        )

    @abstractmethod
    def distance(self, clip: Tensor, other: Tensor) -> Tensor:
        """Compute the distance between a clip and the uncached clip, both float64 [C, T] in -1 .. 1."""


class MultiResolutionSTFT(ClipDistance):
    """The spectral convergence plus the L1 distance of log magnitudes (nats), averaged over three resolutions.

    This is the auxiliary loss of Parallel WaveGAN (Yamamoto et al. 2020, arXiv 1910.11480) at its resolutions: FFTs
    of 512, 1024 and 2048 samples, at any rate. A pure gain g costs |1 - g| + |ln g|. An uncached clip whose
    peak is below -80 dB of full scale counts as silent, because the floor of the logarithm hides it.
    """

    audible = SILENCE
    shortest = max(fft for fft, _, _ in RESOLUTIONS)
    name = "mrstft"
    version = 1

    def distance(self, clip: Tensor, other: Tensor) -> Tensor:
        distances = []
        for resolution in RESOLUTIONS:
            a, b = (magnitudes(audio, *resolution).clamp(min=QUIETEST) for audio in (clip, other))
            distances.append((a - b).norm() / b.norm() + (a.log() - b.log()).abs().mean())
        return torch.stack(distances).mean()


class LogMelL1(ClipDistance):
    """The mean absolute difference of log-mel spectrograms, in dB, over bands, frames and channels.

    It is HiFi-GAN's loss (Kong et al. 2020, arXiv 2010.05646), but in dB, with everything below `floor` dB
    raised to it. 0 dB is the magnitude that a sine of full scale has at its own line of the spectrum. A band
    sums the magnitudes of its lines under a triangle of peak 1: a steady sine of full scale reaches up to
    +6 dB in bands of many lines, and down to -7 dB in bands of few (at 44.1 kHz, other parameters by default).
    `rate` in Hz must be the clips' own; `fft` and `hop` are in samples. Raises ValueError for parameters that
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
        # under a Hann window, a sine of amplitude 1 has the magnitude of a quarter of the window's length
        scaled = magnitudes(audio, self.shortest, self._hop, self.shortest) * (4 / self.shortest)
        return 20 * (self._bands.to(scaled) @ scaled).clamp(min=self._floor).log10()


class SISDR(ClipDistance):
    """The scale-invariant signal-to-distortion ratio to the uncached clip, in dB, clipped to +- `cap`.

    Defined by Le Roux et al. 2019 (arXiv 1811.02508); means are not removed, and channels share one scale.
    The cap is needed because identical clips have an infinite ratio; 60 dB is an error of a thousandth. The ratio
    ignores gain and is very sensitive to phase: a clip that is shifted by a few samples sounds the same and
    scores low. Raises ValueError for a cap not above 0.
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
        if energy == 0:  # a silent clip, or one orthogonal to the uncached one, holds nothing of the signal
            return clip.new_tensor(-self._cap)
        return (10 * (energy / error).log10()).clamp(-self._cap, self._cap)


def _pair(samples: Tensor, baseline: Tensor, shortest: int, audible: float) -> tuple[Tensor, Tensor]:
    """Convert both to float64 in -1 .. 1; ValueError as of `ClipDistance.per_sample`."""
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
