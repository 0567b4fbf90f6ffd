"""Write clips as mp4 files for players and for VBench; only for export, because H.264 in 4:2:0 is lossy."""

import importlib.util
import subprocess
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from smoothbench.errors import UsageError, one_line
from smoothbench.storage.files import temporary_path

CRF = 10  # x264's quality: no visible difference; 0 is lossless, 23 the default


def write_mp4(frames: Tensor, path: Path, fps: float) -> None:
    """Write a clip uint8 [T, C, H, W] with 1 or 3 channels as H.264 in yuv420p, atomically.

    Odd heights and widths are made even, as 4:2:0 needs, by repeating the last row or column. The same clip
    gives the same bytes. Raises UsageError where the encoder (extra `video`) is not installed, ValueError for
    other tensors, OSError where the file cannot be written.
    """
    _check(frames, fps)
    executable = encoder()
    with temporary_path(path) as temporary:
        _encode(executable, _even(frames), temporary, fps, path)


def encoder() -> str:
    """Return the path of the ffmpeg that imageio-ffmpeg brings; UsageError, with the way out, where there is none."""
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise UsageError("mp4 needs the package imageio-ffmpeg: pip install -e '.[video]'")
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise UsageError(f"imageio-ffmpeg finds no ffmpeg ({one_line(error)}): reinstall it") from None


def _encode(executable: str, frames: Tensor, scratch: Path, fps: float, path: Path) -> None:
    height, width = frames.shape[2:]
    # no colour tags, because some readers (OpenCV, decord) ignore them: so all readers invert the same conversion
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", _rate(fps), "-i", "-"]
    wanted = ["-c:v", "libx264", "-crf", str(CRF), "-pix_fmt", "yuv420p", "-threads", "1"]
    tail = [
        "-an",
        "-map_metadata",
        "-1",
        "-fflags",
        "+bitexact",
        "-movflags",
        "+faststart",
        "-f",  # which a temporary file's name does not tell
        "mp4",
        f"file:{scratch}",
    ]
    raw = frames.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
    done = subprocess.run(
        [executable, "-v", "error", "-y", *given, *wanted, *tail], input=raw, capture_output=True, check=False
    )
    if done.returncode:
        message = " ".join(done.stderr.decode(errors="replace").split())[-300:]
        raise OSError(f"{path}: ffmpeg ended with {done.returncode} ({message})")


def _rate(fps: float) -> str:
    return str(Fraction(fps).limit_denominator(1001))


def _even(frames: Tensor) -> Tensor:
    """Convert frames to RGB on the CPU, with even height and width."""
    frames = frames.cpu().expand(-1, 3, -1, -1)
    for axis in (2, 3):
        if frames.shape[axis] % 2:
            frames = torch.cat([frames, frames.narrow(axis, frames.shape[axis] - 1, 1)], axis)
    return frames


def _check(frames: Tensor, fps: float) -> None:
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] not in (1, 3) or 0 in frames.shape:
        raise ValueError(
            f"mp4 takes clips uint8 [T, C, H, W] with 1 or 3 channels, not {frames.dtype} {list(frames.shape)}"
        )
    if not 0 < fps < 1000:
        raise ValueError(f"mp4 takes above 0 and below 1000 frames a second, not {fps}")
