"""The sizes of clips that Open-Sora 1.2 knows: resolutions, aspect ratios, lengths, and the sizes of their latents."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import torch

RESOLUTIONS: Final = {  # height and width in pixels; 9:16 lies on its side, as the original names it
    "144p": {"9:16": (144, 256), "16:9": (256, 144), "1:1": (192, 192)},
    "240p": {"9:16": (240, 426), "16:9": (426, 240), "1:1": (320, 320)},
    "360p": {"9:16": (360, 640), "16:9": (640, 360), "1:1": (480, 480)},
    "480p": {"9:16": (480, 854), "16:9": (854, 480), "1:1": (640, 640)},
    "720p": {"9:16": (720, 1280), "16:9": (1280, 720), "1:1": (960, 960)},
}
LENGTHS: Final = {"2s": 51, "4s": 102, "8s": 204, "16s": 408}  # frames
SHRINK: Final = 8  # pixels of a latent, each way
CHUNK, LATENTS = 17, 5  # frames that are encoded at once, and the latents that they become
SQUARE: Final = 512**2  # pixels of a frame at which the sampler's grid is not moved


@dataclass(frozen=True)
class Size:
    """The height and width in pixels, as inputs of the model, and the frames of a clip."""

    height: int
    width: int
    frames: int

    @property
    def latent(self) -> tuple[int, int, int]:
        """Frames, height and width of the latents; what does not fill a whole one is cut off."""
        return self.frames // CHUNK * LATENTS, self.height // SHRINK, self.width // SHRINK


def size_of(resolution: str, aspect_ratio: str, length: str) -> Size:
    """Return the size of a clip by its names; ValueError, listing the known names, for another one."""
    shapes = RESOLUTIONS[_known("resolution", resolution, RESOLUTIONS)]
    height, width = shapes[_known("aspect_ratio", aspect_ratio, shapes)]
    return Size(height, width, LENGTHS[_known("length", length, LENGTHS)])


def timestep_shift(height: int, width: int, frames: int, dtype: torch.dtype = torch.float64) -> float:
    """Return how far `solvers.rflow`'s grid moves towards the noise for a clip of so many pixels and frames.

    Computed in `dtype`: in bfloat16, as the original does there, 480p's 4.84312 is 4.84375. ValueError for 2 to 16
    frames, of which there are no latents; 1 is a picture.
    """
    latents = frames // CHUNK * LATENTS if frames > 1 else 1
    if latents < 1 or min(height, width) < 1:
        raise ValueError(
            f"a clip of {frames} frames of {height}x{width} has no shift: take 1 or at least {CHUNK} frames"
        )
    down, across, time = (torch.tensor(float(each), dtype=dtype) for each in (height, width, latents))
    return float((down * across / SQUARE).sqrt() * time.sqrt())


def _known(key: str, value: str, known: Collection[str]) -> str:
    if value not in known:
        raise ValueError(f"model.{key}={value!r:.60}: Open-Sora 1.2 knows {', '.join(known)}")
    return value
