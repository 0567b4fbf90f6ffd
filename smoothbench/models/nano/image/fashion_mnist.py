"""Fashion-MNIST as tensors, read from the files of the Debian package `dataset-fashion-mnist`."""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
FILES = {"train": "train", "test": "t10k"}


def load(split: str, folder: Path = FOLDER) -> tuple[Tensor, Tensor]:
    """Read the images uint8 [N, 1, 28, 28] and labels int64 [N] of `train` (60,000) or `test` (10,000).

    Raises FileNotFoundError, with what to install, where the files are not there.
    """
    images = _idx(folder / f"{FILES[split]}-images-idx3-ubyte.gz", header=16)
    labels = _idx(folder / f"{FILES[split]}-labels-idx1-ubyte.gz", header=8)
    return images.view(-1, 1, 28, 28), labels.long()


def _idx(path: Path, header: int) -> Tensor:
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is not there: apt-get install dataset-fashion-mnist (only (re)training needs it)"
        )
    with gzip.open(path) as file:
        return torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=header).copy())


def to_unit(images: Tensor) -> Tensor:
    """Map uint8 [0, 255] to float [-1, 1], the range in which models here work."""
    return images.float() / 127.5 - 1.0
