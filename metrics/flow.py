"""Motion between frames by a classical method: pyramidal Lucas and Kanade, without any weights.

Lucas and Kanade 1981, coarse to fine as Bouguet 2001, for every pixel, in a symmetric form: both frames are
warped to the middle between them, so that the motion belongs to the frame that may lie there.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, pad

WORKING: Final = 128  # pixels of the shorter side: larger frames are reduced first
COARSEST: Final = 8
STEPS: Final = 4  # of Gauss and Newton at each level
SIGMA: Final = 3.5  # of the Gaussian window, in pixels
DAMPING: Final = 100.0  # squared grey levels a pixel: where the picture is flatter, it does not move
PIECE: Final = 2**21  # pixels at once


def motion(first: Tensor, second: Tensor) -> Tensor:
    """Motion float32 [N, 2, H, W] (right, down; pixels) from one set of grey frames to the other.

    Frames float32 [N, H, W], 0 to 255. What lies at p half-way was at p - motion / 2 and gets to
    p + motion / 2. Where nothing is to be seen it is about 0.
    """
    count = max(1, PIECE // first[0].numel())
    pairs = zip(first.split(count), second.split(count), strict=True)
    return torch.cat([_motion(a[:, None], b[:, None]) for a, b in pairs])


def warped(frames: Tensor, moved: Tensor) -> Tensor:
    """Frames float32 [N, C, H, W] looked up at p + moved, [N, 2, H, W] in pixels; borders go on."""
    height, width = frames.shape[2:]
    x = torch.arange(width, device=frames.device) + moved[:, 0]
    y = torch.arange(height, device=frames.device)[:, None] + moved[:, 1]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return grid_sample(frames, grid, padding_mode="border", align_corners=False)


def _motion(first: Tensor, second: Tensor) -> Tensor:
    size = first.shape[2:]
    levels = _levels(size)
    found = first.new_zeros(len(first), 2, *levels[0])
    for level in levels:
        a, b = (interpolate(frames, level, mode="area") for frames in (first, second))
        found = _scaled(found, level)
        for _ in range(STEPS):
            found = found + _step(warped(a, -found / 2), warped(b, found / 2))
    return _scaled(found, size)


def _levels(size: torch.Size) -> list[tuple[int, int]]:
    """Heights and widths from the coarsest to the finest."""
    ratio = max(1.0, min(size) / WORKING)
    found = [(round(size[0] / ratio), round(size[1] / ratio))]
    while min(found[0]) >= 2 * COARSEST:
        found.insert(0, (found[0][0] // 2, found[0][1] // 2))
    return found


def _scaled(found: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    """Motion on another grid, in its pixels."""
    height, width = found.shape[2:]
    ratio = found.new_tensor([size[1] / width, size[0] / height])[:, None, None]
    return interpolate(found, tuple(size), mode="bilinear") * ratio


def _step(first: Tensor, second: Tensor) -> Tensor:
    """What is left of the motion between two frames that were warped to the middle: one linear solution."""
    mean, change = (first + second) / 2, second - first
    around = pad(mean, (1, 1, 1, 1), mode="replicate")
    x = (around[:, :, 1:-1, 2:] - around[:, :, 1:-1, :-2]) / 2
    y = (around[:, :, 2:, 1:-1] - around[:, :, :-2, 1:-1]) / 2
    sums = _windowed(torch.cat([x * x, x * y, y * y, x * change, y * change], dim=1))
    xx, xy, yy, xt, yt = sums.unbind(1)
    xx, yy = xx + DAMPING, yy + DAMPING
    determinant = xx * yy - xy * xy
    step = torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], dim=1) / determinant[:, None]
    return step.clamp(-1, 1)  # further than a pixel the linear form says little


def _windowed(maps: Tensor) -> Tensor:
    """Gaussian averages of each map [N, K, H, W], by two products of matrices: small frames are many."""
    rows, columns = (_window(size).to(maps) for size in maps.shape[2:])
    return rows @ maps @ columns.T


def _window(size: int) -> Tensor:
    """Weights [size, size] of a line's pixels in the averages around each of them."""
    places = torch.arange(size)
    weights = torch.exp(-(places - places[:, None]).square() / (2 * SIGMA**2))
    return weights / weights.sum(1, keepdim=True)
