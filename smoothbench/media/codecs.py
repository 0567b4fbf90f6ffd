"""Codecs that write one sample as a file and read it again without loss: PNG, FLAC and WebP."""

import io
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import soundfile
import torch
from PIL import Image, ImageSequence
from torch import Tensor

# flags of the container: an animated file, a frame that is not blended
WEBP_ANIMATED, WEBP_OPAQUE = 0b10, 0b10
# of WebP's lossless modes: a tenth of the time, files up to half larger
FASTEST: Final = {"method": 0, "quality": 0}


class Png:
    """Writes and reads images uint8 [C, H, W] with one or three channels as PNG."""

    suffix = ".png"
    # digits take 0.7, photographs with grain 0.8, noise 1.01
    bytes_per_value = 0.9

    def encode(self, sample: Tensor) -> bytes:
        """Encode an image; the same image gives the same bytes."""
        buffer = io.BytesIO()
        Image.fromarray(
            sample.squeeze(0).numpy() if len(sample) == 1 else sample.permute(1, 2, 0).numpy()
        ).save(buffer, "png")
        return buffer.getvalue()

    def decode(self, data: bytes) -> Tensor:
        """Decode the bytes of a file to its image."""
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return torch.from_numpy(pixels.copy())


@dataclass(frozen=True)
class Flac:
    """Writes and reads clips int16 [channels, frames] as FLAC of 16 bits at `rate` Hz.

    Raises ValueError for bytes that are no FLAC file or have another rate.
    """

    rate: int
    suffix = ".flac"
    # of 16 bits: clips of ours take 1.16 to 1.45, noise 2.0
    bytes_per_value = 1.5

    def encode(self, sample: Tensor) -> bytes:
        """Encode a clip; the same clip gives the same bytes."""
        buffer = io.BytesIO()
        soundfile.write(buffer, sample.T.numpy(), self.rate, subtype="PCM_16", format="FLAC")
        return buffer.getvalue()

    def decode(self, data: bytes) -> Tensor:
        """Decode the bytes of a file to its clip."""
        try:
            frames, rate = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise ValueError(
                f"no FLAC file, or a damaged one ({error.error_string}): make it again"
            ) from None
        if rate != self.rate:
            raise ValueError(f"a clip of {rate} Hz where {self.rate} Hz are expected: resample it")
        return torch.from_numpy(frames.T.copy())


@dataclass(frozen=True)
class Webp:
    """Writes and reads clips uint8 [T, 3, H, W] as lossless animated WebP of `fps` frames a second.

    Pillow compresses the frames, but the container is written here (RFC 9649, section 2.7), because Pillow's
    animations merge equal neighbouring frames. Raises ValueError for bytes that are no WebP file or have another rate.
    """

    fps: float
    suffix = ".webp"
    # clips of ours take 0.48 to 0.62, frames with grain 0.85, noise 1.01
    bytes_per_value = 0.7

    def encode(self, sample: Tensor) -> bytes:
        """Encode a clip; the same clip gives the same bytes."""
        size = _three(sample.shape[3] - 1) + _three(sample.shape[2] - 1)
        chunks = [_chunk(b"VP8X", bytes([WEBP_ANIMATED, 0, 0, 0]) + size), _chunk(b"ANIM", bytes(6))]
        for frame, duration in zip(sample, self._durations(len(sample)), strict=True):
            place = bytes(6) + size + _three(duration) + bytes([WEBP_OPAQUE])
            chunks.append(_chunk(b"ANMF", place + _still(frame)))
        return _chunk(b"RIFF", b"WEBP" + b"".join(chunks))

    def decode(self, data: bytes) -> Tensor:
        """Decode the bytes of a file to its clip."""
        frames, durations = [], []
        try:
            for frame in ImageSequence.Iterator(Image.open(io.BytesIO(data), formats=["webp"])):
                frames.append(np.array(frame.convert("RGB")).transpose(2, 0, 1))
                durations.append(frame.info.get("duration"))
        except (OSError, SyntaxError, EOFError) as error:
            cause = " ".join(str(error).split())[:80]
            raise ValueError(f"no WebP file, or a damaged one ({cause}): make it again") from None
        if durations != self._durations(len(frames)):
            raise ValueError(f"a clip of another rate than {self.fps} frames a second: make it again")
        return torch.from_numpy(np.stack(frames))

    def _durations(self, frames: int) -> list[int]:
        """The duration of each frame in whole milliseconds; they add up to the length of the clip."""
        ends = [round(1000 * frame / self.fps) for frame in range(frames + 1)]
        return [end - start for start, end in pairwise(ends)]


def _still(frame: Tensor) -> bytes:
    """Compress a frame uint8 [3, H, W] to the chunk of its pixels: the file of a still without its first 12 bytes."""
    buffer = io.BytesIO()
    image = Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy())
    image.save(buffer, "webp", lossless=True, **FASTEST)
    return buffer.getvalue()[12:]


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _three(value: int) -> bytes:
    return value.to_bytes(3, "little")


def pcm(audio: Tensor) -> Tensor:
    """Convert audio in [-1, 1] to 16-bit samples, louder ones clipped: int16 of the same shape, on the CPU.

    Raises FloatingPointError for audio that is not finite: NaN would become silence.
    """
    if not audio.isfinite().all():
        raise FloatingPointError("the decoded audio is not finite")
    return (audio.clamp(-1, 1) * 32767).round().to("cpu", torch.int16)


def levels(frames: Tensor) -> Tensor:
    """Convert frames in [-1, 1] to 8-bit levels, values beyond clipped: uint8 of the same shape, on the CPU.

    Raises FloatingPointError for frames that are not finite: NaN would become black.
    """
    if not frames.isfinite().all():
        raise FloatingPointError("the decoded frames are not finite")
    return ((frames.clamp(-1, 1) + 1) * 127.5).round().to("cpu", torch.uint8)
