"""The evaluation network for Fashion-MNIST: what Inception is to ImageNet, at nano scale."""

from pathlib import Path

import torch
from torch import Tensor, nn

from smoothbench.models.base.lpips_stages import stage_vectors
from smoothbench.models.nano.files import MetricNetwork, restore_network


class Residual(nn.Module):
    """A block of two 3x3 convolutions and a shortcut; a stride of 2 halves the map."""

    def __init__(self, width_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width_in, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        same = stride == 1 and width_in == width
        self.shortcut = nn.Identity() if same else nn.Conv2d(width_in, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class Evaluator(MetricNetwork):
    """Classifies 28x28 grey images; its inner layers serve as features.

    forward(uint8 [N, 1, 28, 28]) gives a dict: `features` float [N, 64] (pooled last layer),
    `spatial` [N, 64, 7, 7] (the map before pooling), `logits` [N, 10], and `stages` [N, 18816]
    (the maps of the stem and of each residual block, see `stage_vectors`). Raises ValueError for
    images of another type or shape.
    """

    num_features = 64
    name = "nano_images"
    version = 1
    digested = ("weights",)

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.trunk = nn.Sequential(Residual(32, 32), Residual(32, 64, 2), Residual(64, 64))
        self.head = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if images.dtype != torch.uint8 or images.shape[1:] != (1, 28, 28):
            raise ValueError(
                f"the Fashion-MNIST evaluator takes uint8 [N, 1, 28, 28], not {images.dtype} {list(images.shape)}"
            )
        maps = [self.stem(images.float() / 127.5 - 1.0)]
        for block in self.trunk:
            maps.append(block(maps[-1]))
        features = maps[-1].mean((2, 3))
        return {
            "features": features,
            "spatial": maps[-1],
            "logits": self.head(features),
            "stages": stage_vectors(maps),
        }


def embedded(file: str | Path) -> str:
    """Return the path of a file of this folder; an absolute path stays as it is."""
    return str(Path(__file__).parent / file)


def load_evaluator(weights: str | Path) -> Evaluator:
    """Load the trained network, frozen, from a safetensors file of this folder or an absolute path.

    Its `digest` is the sha256 of the file. Raises ValueError, naming the file, for bad weights.
    """
    return restore_network(Evaluator(), Path(embedded(weights)))
