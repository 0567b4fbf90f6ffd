"""Prepares clips for published audio networks: floats, one loudness, one rate, in windows."""

import math
from typing import Final

import numpy as np
import torch
from scipy.signal import firwin, resample_poly
from torch import Tensor

PEAK: Final = 10 ** (-1 / 20)  # -1 dB of full scale
HALF_TAPS: Final = 96  # of the resampling filter, each side, at the lower of the two rates


def as_floats(clips: Tensor, name: str, channels: tuple[int, ...], shortest: int) -> Tensor:
    """Convert clips int16 [N, C, T] to float64 in -1 .. 1, on the CPU.

    Raises ValueError for another type or shape, a number of channels that is not in `channels`, fewer than
    `shortest` frames, and silent clips, which have no peak to bring to -1 dB; `name` is who needs them.
    """
    if clips.dtype != torch.int16 or clips.ndim != 3 or 0 in clips.shape:
        raise ValueError(f"{name} takes clips int16 [N, C, T], not {clips.dtype} {list(clips.shape)}")
    if clips.shape[1] not in channels:
        wanted_channels = " or ".join(map(str, channels))
        raise ValueError(
            f"{name} takes clips of {wanted_channels} channels, not {clips.shape[1]}: set its `channels`"
        )
    if clips.shape[2] < shortest:
        raise ValueError(
            f"{name} needs clips of at least {shortest} frames, not {clips.shape[2]}: leave it out"
        )
    if silent := int((clips == 0).flatten(1).all(1).sum()):
        raise ValueError(f"{silent} of {len(clips)} clips are silent: {name} cannot bring them to -1 dB")
    return clips.to("cpu", torch.float64) / 32768


def at_peak(audio: Tensor, name: str) -> Tensor:
    """Scale each clip [N, ...], with one factor for all channels, so that its peak is -1 dB of full scale.

    Raises ValueError for a peak of 0, as the mean of opposite channels has; `name` is who needs it.
    """
    peaks = audio.abs().flatten(1).amax(1)
    if flat := int((peaks == 0).sum()):
        raise ValueError(
            f"{flat} of {len(audio)} clips have a peak of 0, as where left and right cancel: {name} cannot bring "
            "them to -1 dB"
        )
    return audio * (PEAK / peaks).view(-1, *[1] * (audio.ndim - 1))


def resampled(audio: Tensor, rate: int, target: int) -> Tensor:
    """Resample audio [..., T] to another rate, float64 [..., ceil(T target / rate)].

    The polyphase filter has a Kaiser window; it is flat up to 0.9 of half the lower rate, and 100 dB down from 1.0 on.
    Up to 0.9 it agrees with the resamplers of the published scores (soxr; resampy 0.2, but not its later versions).
    """
    if rate == target:
        return audio
    common = math.gcd(rate, target)
    up, down = target // common, rate // common
    most = max(up, down)
    taps = firwin(2 * HALF_TAPS * most + 1, 0.95 / most, window=("kaiser", 12.0))
    return torch.from_numpy(
        np.ascontiguousarray(resample_poly(audio.numpy(), up, down, axis=-1, window=taps))
    )


def windows(audio: Tensor, length: int, hop: int, lead: int = 0) -> Tensor:
    """Cut audio [..., T] into windows [..., W, length] every `hop` frames; the first starts `lead` frames too early.

    W = 1 + ceil((T + lead - length) / hop), at least 1; the audio is padded with silence at both ends.
    """
    length_with_lead = audio.shape[-1] + lead
    count = 1 + max(0, -(-(length_with_lead - length) // hop))
    padded = torch.nn.functional.pad(audio, (lead, (count - 1) * hop + length - length_with_lead))
    return padded.unfold(-1, length, hop)


def mono(audio: Tensor) -> Tensor:
    """Average the channels, [N, C, T] to [N, T]."""
    return audio.mean(1)
