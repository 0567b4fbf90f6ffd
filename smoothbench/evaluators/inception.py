"""ADM's Inception as an encoder: the network of 2015 whose features FID, sFID and IS are defined on.

The network is torch-fidelity's port (extra `paper`; TensorFlow's resizing and pooling included), the weights
are its conversion of Google's. The layers are those of Dhariwal and Nichol 2021, evaluations/evaluator.py.
"""

import hashlib
import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.numerics import exact_convolutions

PACKAGE = "torch_fidelity"
MODULE = f"{PACKAGE}.feature_extractor_inceptionv3"
# Below sys.prefix but not on sys.path: if torchmetrics found torch-fidelity, it would import all of it and torchvision.
SEPARATE = "share/smoothbench"
INSTALL = "pip install -c constraints.txt -e '.[paper]' (without torchvision: see pyproject.toml)"
FILE = (
    "weights-inception-2015-12-05-6726825d.pth"  # torch.hub's name, which ends with the start of the sha256
)
SHA256 = "6726825d"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
BATCHES = "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/ref_batches"
REFERENCE_URL = f"{BATCHES}/imagenet/256/VIRTUAL_imagenet256_labeled.npz"

log = logging.getLogger(__name__)


class Inception(nn.Module):
    """Encodes images of any size, grey or RGB, which it resizes to 299 x 299 pixels itself.

    forward(uint8 [N, 1 or 3, H, W]) gives a dict of float32: `features` [N, 2048] (pool_3), `spatial`
    [N, 192, 17, 17] (mixed_6/conv after its norm and ReLU; sFID takes its first 7 channels) and `logits`
    [N, 1008] (without the bias, as for ADM's IS). It gives the same on every device up to rounding, without TF32.
    `digest` is the sha256 of the weights. Raises ValueError for images of another type or shape.
    """

    num_features = 2048
    name = "inception"
    version = 1
    digested = ("weights",)

    def __init__(self, extractor: Any, digest: str) -> None:
        super().__init__()
        self.extractor, self.digest = extractor, digest

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"Inception takes uint8 [N, C, H, W] with 1 or 3 channels, not {images.dtype} {list(images.shape)}"
            )
        maps: list[Tensor] = []
        hook = self.extractor.Mixed_6d.branch1x1.register_forward_hook(lambda *call: maps.append(call[-1]))
        try:
            # cuDNN's convolutions round to TF32 by default, which no published score did
            with exact_convolutions():
                features, logits = self.extractor(images.expand(-1, 3, -1, -1))
        finally:
            hook.remove()
        return {"features": features, "spatial": maps[0], "logits": logits}


def load_inception(weights: str | None = None) -> Inception:
    """Load the network, frozen, with the weights of a file; None: the file in torch.hub's cache.

    Raises ValueError, with the way out, where torch-fidelity or the file is absent, and for a file that is
    damaged, of another network, or cannot be read without running code.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", FILE) if weights is None else Path(weights)
    extractor = _extractor_class()
    data = _read(path)
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(SHA256):
        if path.name == FILE:
            raise ValueError(f"weights {path}: damaged or half downloaded (sha256 {digest}): get {URL} again")
        log.warning("weights %s are not Inception's (sha256 %s): no score by them is FID or IS", path, digest)
    try:
        network = extractor("inception", ["2048", "logits_unbiased"], _tensors_alone(data))
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"weights {path}: not the tensors of torch-fidelity's Inception ({reason}): get {URL}"
        ) from None
    network = network.to(memory_format=torch.channels_last)  # a third faster on CPUs
    return Inception(network, digest).eval()


def reference_batch(file: str | None) -> str:
    """Return the path of ADM's reference batch, an npz; ValueError, with the way out, where none is named."""
    if file is None:
        raise ValueError(
            f"no reference batch: set model.evaluation.adm to the path of one, for ImageNet 256x256 {REFERENCE_URL}"
        )
    return file


def find_torch_fidelity() -> ModuleSpec | None:
    """Find torch-fidelity, installed as usual or in its separate folder; None where it is not installed."""
    return find_spec(PACKAGE) or PathFinder.find_spec(PACKAGE, [str(Path(sys.prefix, SEPARATE))])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"weights {path}: {error.strerror}; put {URL} there, or its path into model.evaluation.inception"
        ) from None


def _tensors_alone(data: bytes) -> io.BytesIO:
    """Read the state dict of a weights file and write it to a new file.

    torch-fidelity reads its weights with weights_only=False, which runs any code that a pickle names. So it gets
    a file that we wrote ourselves, after reading the given one with weights_only=True.
    """
    try:
        state = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except Exception:  # damaged bytes make torch raise exceptions of many kinds
        raise ValueError("damaged, or more than tensors, and nothing else is unpickled") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError("no state dict")
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def _extractor_class() -> Any:
    """torch-fidelity's FeatureExtractorInceptionV3; ValueError where the package is not installed."""
    if sys.modules.get(PACKAGE):
        return import_module(MODULE).FeatureExtractorInceptionV3
    if (spec := find_torch_fidelity()) is None:
        raise ValueError(f"torch-fidelity is not installed: {INSTALL}")
    with _without_init(spec):
        return import_module(MODULE).FeatureExtractorInceptionV3


@contextmanager
def _without_init(spec: ModuleSpec) -> Iterator[None]:
    """Let modules of a package be imported, within a context, without running the package's __init__.

    torch-fidelity's __init__ imports torchvision, which fits only one build of torch, for functions that are not
    needed here. Afterwards the package is removed from sys.modules, so that other code imports all of it.
    """
    sys.modules[spec.name] = module_from_spec(spec)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == spec.name]:
            del sys.modules[name]
