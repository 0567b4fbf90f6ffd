"""Optical flow by a classical method, pyramidal Lucas and Kanade, which needs no weights.

The method of Lucas and Kanade 1981, coarse to fine as in Bouguet 2001, for every pixel. It is symmetric: both frames
are warped to the moment half-way between them, so that the motion belongs to a frame at that moment.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, pad

WORKING: Final = 128  # pixels of the shorter side; larger frames are reduced to it first
COARSEST: Final = 8  # pixels of the shorter side at the coarsest level
STEPS: Final = 4  # Gauss-Newton steps at each level
SIGMA: Final = 3.5  # standard deviation of the Gaussian window, in pixels
DAMPING: Final = 100.0  # squared grey levels per pixel; where the gradient is smaller, the motion is about 0
PIECE: Final = 2**21  # pixels that are computed at once


def motion(first: Tensor, second: Tensor) -> Tensor:
    """Estimate the motion, float32 [N, 2, H, W] (right, down; in pixels), from one set of frames to the other.

    Frames are grey, float32 [N, H, W], 0 to 255. A point that is at p half-way comes from p - motion / 2 and goes to
    p + motion / 2. Where the picture is flat the motion is about 0.
    """
    count = max(1, PIECE // first[0].numel())
    pairs = zip(first.split(count), second.split(count), strict=True)
    return torch.cat([_motion(a[:, None], b[:, None]) for a, b in pairs])


def warped(frames: Tensor, moved: Tensor) -> Tensor:
    """Warp frames, float32 [N, C, H, W]: the pixel at p is read at p + moved.

    `moved` [N, 2, H, W] is in pixels (right, down); beyond the borders their pixels are repeated.
    """
    height, width = frames.shape[2:]
    x = torch.arange(width, device=frames.device) + moved[:, 0]
    y = torch.arange(height, device=frames.device)[:, None] + moved[:, 1]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return grid_sample(frames, grid, padding_mode="border", align_corners=False)


def _motion(first: Tensor, second: Tensor) -> Tensor:
    size = first.shape[2:]
    levels = _levels(size)
    flow = first.new_zeros(len(first), 2, *levels[0])
    for level in levels:
        a, b = (interpolate(frames, level, mode="area") for frames in (first, second))
        flow = _scaled(flow, level)
        for _ in range(STEPS):
            flow = flow + _step(warped(a, -flow / 2), warped(b, flow / 2))
    return _scaled(flow, size)


def _levels(size: torch.Size) -> list[tuple[int, int]]:
    """Heights and widths from the coarsest to the finest."""
    ratio = max(1.0, min(size) / WORKING)
    levels = [(round(size[0] / ratio), round(size[1] / ratio))]
    while min(levels[0]) >= 2 * COARSEST:
        levels.insert(0, (levels[0][0] // 2, levels[0][1] // 2))
    return levels


def _scaled(flow: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    """Interpolate motion to a grid of another size, in the pixels of that grid."""
    height, width = flow.shape[2:]
    ratio = flow.new_tensor([size[1] / width, size[0] / height])[:, None, None]
    return interpolate(flow, tuple(size), mode="bilinear") * ratio


def _step(first: Tensor, second: Tensor) -> Tensor:
    """Solve for the motion that is left between two warped frames, to first order: one Gauss-Newton step."""
    mean, change = (first + second) / 2, second - first
    around = pad(mean, (1, 1, 1, 1), mode="replicate")
    x = (around[:, :, 1:-1, 2:] - around[:, :, 1:-1, :-2]) / 2
    y = (around[:, :, 2:, 1:-1] - around[:, :, :-2, 1:-1]) / 2
    sums = _windowed(torch.cat([x * x, x * y, y * y, x * change, y * change], dim=1))
    xx, xy, yy, xt, yt = sums.unbind(1)
    xx, yy = xx + DAMPING, yy + DAMPING
    determinant = xx * yy - xy * xy
    step = torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], dim=1) / determinant[:, None]
    return step.clamp(-1, 1)  # beyond a pixel the linear approximation is no longer valid


def _windowed(maps: Tensor) -> Tensor:
    """Average each map [N, K, H, W] under a Gaussian window, by matrix products: fast for many small frames."""
    vertical, horizontal = (_window(size).to(maps) for size in maps.shape[2:])
    return vertical @ maps @ horizontal.T


def _window(size: int) -> Tensor:
    """Weights [size, size] of the pixels of a line in the average around each of its pixels."""
    places = torch.arange(size)
    weights = torch.exp(-(places - places[:, None]).square() / (2 * SIGMA**2))
    return weights / weights.sum(1, keepdim=True)
