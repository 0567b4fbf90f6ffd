"""Class-conditional diffusion transformers (Peebles and Xie 2023) through diffusers."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import DiTTransformer2DModel
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from smoothbench.errors import one_line
from smoothbench.models.class_conditional import ClassConditional
from smoothbench.models.tensors import fill

TIMESTEPS = 1000  # of training
WEIGHTS = "diffusion_pytorch_model.safetensors"


class PixelDiT(ClassConditional):
    """A DiT that works on pixels in [-1, 1], with classifier-free guidance in one forward.

    `path` is a folder in diffusers' layout (config.json and safetensors); a relative one is looked
    up beside this file. Raises ValueError, naming the file, for weights that are missing, truncated
    or of another model.
    """

    version = 1

    def __init__(self, name: str, path: str, guidance: float, device: torch.device) -> None:
        folder = Path(__file__).parent / path
        config, data = _read(folder)
        super().__init__(name, config, shape_of(config), config["num_embeds_ada_norm"], guidance, device)
        self.denoiser = self.empty()
        fill(self.denoiser, _tensors(data, folder / WEIGHTS), folder / WEIGHTS)
        self.denoiser.to(device)
        self.identity = self._identity(hashlib.sha256(data).hexdigest())

    def empty(self) -> nn.Module:
        """The denoiser's architecture."""
        return empty_dit(self.config)

    def run(self, denoiser: nn.Module, x: Tensor, t: float, labels: Tensor) -> Tensor:
        """One forward of a DiT."""
        return run_dit(denoiser, x, t, labels)

    def conditions(self, seeds: Sequence[int]) -> Tensor:
        """Classes in turn: a seed's class is its number modulo the classes."""
        return torch.tensor(seeds) % self.classes

    def decode(self, x: Tensor) -> Tensor:
        """Pixels uint8 [B, C, H, W]."""
        return ((x.clamp(-1, 1) + 1) * 127.5).round().to("cpu", torch.uint8)


def shape_of(config: dict[str, Any]) -> tuple[int, int, int]:
    """Channels, height and width of what a DiT denoises."""
    return config["in_channels"], config["sample_size"], config["sample_size"]


def empty_dit(config: dict[str, Any]) -> nn.Module:
    """A DiT of this configuration, whose weights are yet to be filled in."""
    return DiTTransformer2DModel.from_config(config).eval().requires_grad_(False)


def run_dit(denoiser: nn.Module, x: Tensor, t: float, labels: Tensor) -> Tensor:
    """The predicted noise [B, C, H, W], and a learned variance, where there is one, in C more channels."""
    if t != int(t) or not 0 <= t < TIMESTEPS:
        raise ValueError(
            f"a DiT knows the whole timesteps 0 to {TIMESTEPS - 1}, the solver asks for {t:g}: choose another solver"
        )
    timestep = torch.full((len(x),), int(t), device=x.device)
    prediction: Tensor = denoiser(x, timestep=timestep, class_labels=labels, return_dict=False)[0]
    return prediction


def _read(folder: Path) -> tuple[dict[str, Any], bytes]:
    try:
        return json.loads((folder / "config.json").read_text()), (folder / WEIGHTS).read_bytes()
    except FileNotFoundError as error:
        raise ValueError(
            f"weights {error.filename}: no such file; model.path must be a folder with config.json and {WEIGHTS}"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / 'config.json'} is not JSON: {error}") from None


def _tensors(data: bytes, path: Path) -> dict[str, Tensor]:
    try:
        return load(data)
    except SafetensorError as error:
        raise ValueError(f"weights {path}: damaged or of another model ({one_line(error)[:200]})") from None
