"""LPIPS, DISTS and ARNIQA as torchmetrics computes them, on weights that are in torch.hub's cache already."""

from importlib.util import find_spec
from typing import Any

import torchmetrics
from torch import nn

from smoothbench.evaluators.hub_files import require_script, require_tensors

TORCHVISION = "https://download.pytorch.org/models"
ARNIQA = "https://github.com/miccunifi/ARNIQA/releases/download/weights"
BACKBONES = {
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}
JUDGED = ("koniq10k", "kadid10k")


def load_lpips(net_type: str = "alex") -> torchmetrics.Metric:
    """Load LPIPS (Zhang et al. 2018, arXiv 1801.03924), which takes pairs of RGB pictures from 0 to 1.

    Raises ValueError, with the way out, for another network than alex, vgg, squeeze, and where torchvision or the
    network's ImageNet weights are not here.
    """
    if net_type not in BACKBONES:
        raise ValueError(f"net_type={net_type!r:.60}: there are {', '.join(BACKBONES)}")
    require_torchvision("LPIPS")
    _backbone(net_type, "LPIPS")
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    return LearnedPerceptualImagePatchSimilarity(net_type=net_type, normalize=True, reduction="none")  # type: ignore[arg-type]


def load_dists() -> nn.Module:
    """Load the network of DISTS (Ding et al. 2020, arXiv 2004.07728), which takes pairs of RGB pictures from 0 to 1.

    torchmetrics' class reads the network anew for every batch; it is read once here. Raises ValueError, with the way
    out, where torchvision or the network's ImageNet weights are not here.
    """
    require_torchvision("DISTS")
    _backbone("vgg", "DISTS")
    from torchmetrics.functional.image.dists import DISTSNetwork

    return DISTSNetwork()


def load_arniqa(regressor_dataset: str = "koniq10k") -> torchmetrics.Metric:
    """Load ARNIQA (Agnolucci et al. 2024, arXiv 2310.14918), which judges RGB pictures from 0 to 1 without a reference.

    Raises ValueError, with the way out, for another data set of judgements than koniq10k and kadid10k, and where
    torchvision or the weights are not here.
    """
    if regressor_dataset not in JUDGED:
        raise ValueError(f"regressor_dataset={regressor_dataset!r:.60}: there are {', '.join(JUDGED)}")
    require_torchvision("ARNIQA")
    require_tensors("ARNIQA.pth", f"{ARNIQA}/ARNIQA.pth", "ARNIQA")
    name = f"regressor_{regressor_dataset}.pth"
    require_script(name, f"{ARNIQA}/{name}", "ARNIQA")
    from torchmetrics.image.arniqa import ARNIQA as Arniqa

    chosen: Any = regressor_dataset  # torchmetrics' own type lists these two
    return Arniqa(regressor_dataset=chosen)


def require_torchvision(what: str) -> None:
    """Raise ValueError, with the command that installs it, where torchvision is not installed."""
    if find_spec("torchvision") is None:
        raise ValueError(
            f"{what} needs the package torchvision: pip install -c constraints.txt -e '.[perceptual]'"
        )


def _backbone(net_type: str, what: str) -> None:
    name = BACKBONES[net_type]
    require_tensors(name, f"{TORCHVISION}/{name}", what)
