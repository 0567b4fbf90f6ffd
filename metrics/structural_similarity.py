"""The structural similarity of images at every pixel (Wang et al. 2004), averaged along rows, then along columns."""

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

WINDOW: Final = 11  # side of SSIM's window, in pixels
SIGMA: Final = 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def similarity(images: Tensor, others: Tensor) -> Tensor:
    """Compute equation 13 at every pixel of images float64 [N, C, H, W] of 0 to 255, with reflected borders."""
    a, b, aa, bb, ab = (_averaged(maps) for maps in (images, others, images**2, others**2, images * others))
    variances = (aa - a * a).clamp(min=0) + (bb - b * b).clamp(min=0)
    numerator = (2 * a * b + C1) * (2 * (ab - a * b) + C2)
    return numerator / ((a * a + b * b + C1) * (variances + C2))


def _averaged(maps: Tensor) -> Tensor:
    """Average maps under a Gaussian of sigma 1.5 pixels, 11 wide: eleven sums of shifted maps for each axis."""
    reach = WINDOW // 2
    weights = torch.exp(-((torch.arange(WINDOW).double() - reach) ** 2) / (2 * SIGMA**2))
    maps = pad(maps, (reach, reach, reach, reach), mode="reflect")
    for axis in (2, 3):
        size = maps.shape[axis] - 2 * reach
        shifted = [float(w) * maps.narrow(axis, k, size) for k, w in enumerate(weights / weights.sum())]
        maps = sum(shifted[1:], shifted[0])
    return maps
