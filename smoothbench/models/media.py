"""Files of samples."""

import io
from dataclasses import dataclass

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor


class Png:
    """Images uint8 [C, H, W] with one or three channels as PNG."""

    suffix = ".png"

    def encode(self, sample: Tensor) -> bytes:
        """The file's bytes; the same image gives the same bytes."""
        buffer = io.BytesIO()
        Image.fromarray(
            sample.squeeze(0).numpy() if len(sample) == 1 else sample.permute(1, 2, 0).numpy()
        ).save(buffer, "png")
        return buffer.getvalue()

    def decode(self, data: bytes) -> Tensor:
        """The image of a file's bytes."""
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return torch.from_numpy(pixels.copy())


@dataclass(frozen=True)
class Flac:
    """Clips int16 [channels, frames] as FLAC of 16 bits at `rate` Hz.

    Raises ValueError for bytes that are no such file, or of another rate.
    """

    rate: int
    suffix = ".flac"

    def encode(self, sample: Tensor) -> bytes:
        """The file's bytes; the same clip gives the same bytes."""
        buffer = io.BytesIO()
        soundfile.write(buffer, sample.T.numpy(), self.rate, subtype="PCM_16", format="FLAC")
        return buffer.getvalue()

    def decode(self, data: bytes) -> Tensor:
        """The clip of a file's bytes."""
        try:
            frames, rate = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise ValueError(
                f"no FLAC file, or a damaged one ({error.error_string}): make it again"
            ) from None
        if rate != self.rate:
            raise ValueError(f"a clip of {rate} Hz where {self.rate} Hz are expected: resample it")
        return torch.from_numpy(frames.T.copy())


def pcm(audio: Tensor) -> Tensor:
    """Audio in [-1, 1], what is louder clipped, as 16-bit samples: int16 of the same shape, on the CPU."""
    return (audio.clamp(-1, 1) * 32767).round().to("cpu", torch.int16)
