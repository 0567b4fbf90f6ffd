"""Clips of a textured square that moves over a soft ground, drawn at sub-pixel places: for the metrics of video."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

SIZE = 32


def texture(seed: int, size: int, detail: int, contrast: float) -> Tensor:
    """Smooth noise around mid-grey, float32 [3, size, size]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 3, detail, detail, generator=generator)
    return 128 + contrast * interpolate(coarse, (size, size), mode="bicubic")[0]


def shifted(picture: Tensor, right: float, down: float, size: int) -> Tensor:
    """The middle of a larger picture [C, H, W] after it has moved, [C, size, size]."""
    height, width = picture.shape[1:]
    y, x = torch.meshgrid(torch.arange(size) - down, torch.arange(size) - right, indexing="ij")
    x, y = x + (width - size) / 2, y + (height - size) / 2
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return grid_sample(picture[None], grid[None], align_corners=False, mode="bicubic")[0]


def moving(seed: int, frames: int = 12, speed: float = 1.0, ground: int | None = None) -> Tensor:
    """One clip uint8 [frames, 3, 32, 32]; the speed is in pixels a frame."""
    sprite = texture(seed, 14, 4, 60)
    behind = texture(10_000 + (seed if ground is None else ground), SIZE, 3, 25)
    canvas = torch.zeros(4, 3 * SIZE, 3 * SIZE)
    canvas[:3, 41:55, 41:55], canvas[3, 41:55, 41:55] = sprite, 1.0
    made = []
    for place in range(frames):
        moved = shifted(canvas, speed * (place - frames / 2), 0.5 * speed * (place - frames / 2), SIZE)
        cover = moved[3:].clamp(0, 1)
        made.append(behind * (1 - cover) + moved[:3].clamp(0, 255) * cover)
    return torch.stack(made).round().clamp(0, 255).to(torch.uint8)


def clips(count: int, first: int = 0, speed: float = 1.0) -> Tensor:
    """Clips of consecutive seeds, uint8 [count, 12, 3, 32, 32]."""
    return torch.stack([moving(first + seed, speed=speed) for seed in range(count)])
