"""Waveforms to spectrograms and back: 16 kHz mono clips of 2.048 s, 128 frames of 256 samples."""

import math
from typing import Final

import torch
from torch import Tensor

from metrics.spectra import mel_bands

RATE: Final = 16_000
SAMPLES: Final = 32_768
N_FFT: Final = 1024
HOP: Final = 256
FRAMES: Final = SAMPLES // HOP
BINS: Final = N_FFT // 2 + 1
MELS: Final = 80
FLOOR: Final = 1e-3  # of a magnitude: about 70 dB below the loudest partials


def magnitude(audio: Tensor) -> Tensor:
    """Compute STFT magnitudes float [N, 513, 128] of clips int16 [N, samples]: Hann window, centred frames."""
    return _stft(audio.float() / 32768).abs()[..., :FRAMES] * (2 / N_FFT * 2)


def log_magnitude(audio: Tensor) -> Tensor:
    """Compute log(magnitude + floor), shifted and scaled to about -1.2 to 1."""
    return compress(magnitude(audio))


def compress(values: Tensor) -> Tensor:
    """Map magnitudes to the scale of all our log spectra: 0 is half-way between the floor and 1."""
    return (values + FLOOR).log() / (-math.log(FLOOR) / 2) + 1


def expand(values: Tensor) -> Tensor:
    """Invert `compress`; the result is never below zero."""
    return (((values - 1) * (-math.log(FLOOR) / 2)).exp() - FLOOR).clamp(min=0)


def log_mel(audio: Tensor) -> Tensor:
    """Compute the compressed mel spectrogram float [N, 80, 128] of clips int16 [N, samples]."""
    return compress(to_mel(magnitude(audio)))


def to_mel(values: Tensor) -> Tensor:
    """Sum magnitudes [N, 513, T] in triangular bands evenly spaced in mel [N, 80, T]."""
    return mel_bands(RATE, N_FFT, MELS).to(values) @ values


def griffin_lim(values: Tensor, iterations: int = 48, momentum: float = 0.99) -> Tensor:
    """Find a clip float [samples] whose STFT has about these magnitudes [513, 128].

    Fast Griffin-Lim (Perraudin, Balazs, Sondergaard 2013). The first phases are those of a
    stationary sound, each bin turning at its own frequency: nothing is drawn at random, so the same
    magnitudes give the same clip.
    """
    target = torch.cat([values, values[:, -1:]], 1) / (2 / N_FFT * 2)
    turns = torch.arange(target.shape[1]) * (HOP / N_FFT) * torch.arange(BINS)[:, None]
    guess = torch.polar(target, 2 * math.pi * turns.remainder(1))
    before = torch.zeros_like(guess)
    for _ in range(iterations):
        rebuilt = _stft(_istft(guess))
        ahead = rebuilt + momentum * (rebuilt - before)
        guess = target * ahead / ahead.abs().clamp(min=1e-9)
        before = rebuilt
    return _istft(guess)


def _stft(audio: Tensor) -> Tensor:
    window = torch.hann_window(N_FFT, device=audio.device)
    return torch.stft(audio, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True)


def _istft(spectrum: Tensor) -> Tensor:
    window = torch.hann_window(N_FFT, device=spectrum.device)
    return torch.istft(spectrum, N_FFT, HOP, window=window, length=SAMPLES)
