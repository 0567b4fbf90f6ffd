"""Networks that judge pictures, from the libraries pyiqa and image-reward."""

import hashlib
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.errors import one_line
from smoothbench.storage.files import sha256_of


def load_pyiqa(name: str) -> nn.Module:
    """Load a network of pyiqa by its name there; pictures go to it as RGB from 0 to 1, in pairs if it compares.

    pyiqa looks for its weights in torch.hub's cache and downloads what is absent. Raises ValueError, with the way out,
    where pyiqa is not installed, has no such name, or cannot get the weights.
    """
    if find_spec("pyiqa") is None:
        raise ValueError("pyiqa is not installed: pip install -c constraints.txt -e '.[reward]'")
    pyiqa = _imported("pyiqa", "pip install -c constraints.txt -e '.[reward]'")
    if name not in pyiqa.list_models():
        raise ValueError(
            f"name={name!r:.60}: pyiqa has no such metric: python -c 'import pyiqa; print(pyiqa.list_models())'"
        )
    try:
        network: nn.Module = pyiqa.create_metric(name, device=torch.device("cpu"))
    except Exception as error:  # of a download, of torch.load, of the network's own library
        raise ValueError(
            f"pyiqa cannot load {name} ({one_line(error)[:120]}): where there is a network, python -c "
            f"\"import pyiqa; pyiqa.create_metric('{name}')\""
        ) from None
    return network


class ImageReward(nn.Module):
    """ImageReward (Xu et al. 2023, arXiv 2304.05977): how much people would like a picture of a prompt.

    forward(uint8 [B, 3, H, W], texts) gives float32 [B]; higher is better. `weights` and `med_config` are the files
    ImageReward.pt and med_config.json of THUDM/ImageReward. Raises ValueError, with the way out, where the package
    or a file is not here.
    """

    name = "image_reward"
    version = 1
    digested = ("weights", "med_config")
    higher_is_better = True

    def __init__(self, weights: str, med_config: str) -> None:
        super().__init__()
        way_out = (
            "pip install -e '.[image-reward]' in an environment of its own, as it needs transformers below 5"
        )
        if find_spec("ImageReward") is None:
            raise ValueError(f"image-reward is not installed: {way_out}")
        files = [Path(path).expanduser() for path in (weights, med_config)]
        if absent := [path for path in files if not path.is_file()]:
            get = "hf download THUDM/ImageReward ImageReward.pt med_config.json --local-dir"
            raise ValueError(f"{absent[0]} is not here: {get} {absent[0].parent}")
        self.digest = hashlib.sha256(" ".join(sha256_of(path) for path in files).encode()).hexdigest()
        library = _imported("ImageReward", way_out)
        self.network: Any = library.load(str(files[0]), device="cpu", med_config=str(files[1]))

    def forward(self, pictures: Tensor, texts: Sequence[str]) -> Tensor:
        from PIL import Image

        self.network.device = pictures.device  # where it puts what it prepares
        shown = [Image.fromarray(picture.permute(1, 2, 0).cpu().numpy()) for picture in pictures]
        return torch.tensor([self.network.score(text, one) for text, one in zip(texts, shown, strict=True)])


def _imported(package: str, way_out: str) -> Any:
    """Import a package; ValueError, with the way out, where what it needs itself is absent or of another version."""
    try:
        return import_module(package)
    except Exception as error:
        raise ValueError(f"{package} cannot be imported ({one_line(error)[:120]}): {way_out}") from None
