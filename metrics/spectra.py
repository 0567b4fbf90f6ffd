"""Spectra of waveforms, in float64."""

import math

import torch
from torch import Tensor


def magnitudes(audio: Tensor, fft: int, hop: int, window: int) -> Tensor:
    """Compute STFT magnitudes float64 [C, fft / 2 + 1, frames] of audio [C, T].

    Hann window, centred frames, reflected at the ends.
    """
    shape = torch.hann_window(window, dtype=torch.float64, device=audio.device)
    return torch.stft(audio.double(), fft, hop, window, shape, pad_mode="reflect", return_complex=True).abs()


def mel_bands(rate: int, fft: int, bands: int) -> Tensor:
    """Build triangular mel filters of peak 1, float64 [bands, fft / 2 + 1].

    They are evenly spaced on HTK's mel scale up to half the rate.
    """
    top = 2595 * math.log10(1 + rate / 2 / 700)
    mels = torch.linspace(0, top, bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mels / 2595) - 1)
    hertz = torch.linspace(0, rate / 2, fft // 2 + 1, dtype=torch.float64)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return torch.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)).clamp(min=0)
