"""mp4 files: nearly the clip, whole or not there, and what cannot be written."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from smoothbench.errors import UsageError
from smoothbench.media import mp4
from smoothbench.media.mp4 import write_mp4
from tests.support.latent_dits import refusal
from tests.support.mp4 import read


def clip(frames: int = 12, channels: int = 3, height: int = 31, width: int = 33) -> Tensor:
    """A slope that moves: each frame another."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (
        torch.stack([(4 * rows + 3 * columns + 5 * t) % 256 for t in range(frames)])[:, None]
        .expand(-1, channels, -1, -1)
        .to(torch.uint8)
    )


@pytest.mark.parametrize(("channels", "fps"), [(3, 8), (1, 24000 / 1001)])
def test_frames_come_back(tmp_path: Path, channels: int, fps: float) -> None:
    """Odd heights and widths get one more row and column; H.264 without a difference to be seen."""
    original = clip(channels=channels)
    write_mp4(original, tmp_path / "new/clip.mp4", fps)
    frames, rate = read(tmp_path / "new/clip.mp4")
    assert frames.shape == (12, 3, 32, 34) and rate == pytest.approx(fps, abs=0.01)
    wrong = (frames[:, :, :31, :33].int() - original.int()).abs().float()
    assert wrong.mean() < 2 and wrong.flatten(1).mean(1).max() < 4, "each frame, in its place"
    assert (original[0].int() - original[1].int()).abs().float().mean() > 4
    first = (tmp_path / "new/clip.mp4").read_bytes()
    write_mp4(original, tmp_path / "new/clip.mp4", fps)
    assert (tmp_path / "new/clip.mp4").read_bytes() == first
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["clip.mp4"]


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    refusal(lambda: write_mp4(clip().float(), path, 8), "clips uint8 [T, C, H, W]", "torch.float32")
    refusal(lambda: write_mp4(clip(channels=2), path, 8), "[12, 2, 31, 33]")
    refusal(lambda: write_mp4(clip(), path, 0), "frames a second, not 0")
    (tmp_path / "failing").write_text("#!/bin/sh\necho 'no such codec' >&2\nexit 3\n")
    (tmp_path / "failing").chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(mp4, "encoder", lambda: str(tmp_path / "failing"))
        with pytest.raises(OSError, match=r"clip\.mp4: ffmpeg ended with 3 \(no such codec\)"):
            write_mp4(clip(), path, 8)
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(
            UsageError, match=r"needs the package imageio-ffmpeg: pip install -e '\.\[video\]'"
        ):
            write_mp4(clip(), path, 8)
    assert path.read_bytes() == b"old" and not list(tmp_path.glob(".*"))
