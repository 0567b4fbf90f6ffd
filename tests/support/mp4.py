"""Read mp4 files, for tests."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")


def read(path: Path) -> tuple[Tensor, float]:
    """Frames uint8 [T, C, H, W], and their rate."""
    reader = imageio_ffmpeg.read_frames(str(path))
    header = next(reader)
    width, height = header["size"]
    frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2), header["fps"]
