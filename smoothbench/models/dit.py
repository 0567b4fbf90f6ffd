"""Class-conditional diffusion transformers (Peebles and Xie 2023) through diffusers."""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import DiTTransformer2DModel
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from smoothbench.models.media import Png
from smoothbench.types import Branch

WEIGHTS = "diffusion_pytorch_model.safetensors"


class PixelDiT:
    """A DiT that works on pixels in [-1, 1], with classifier-free guidance in one forward.

    `path` is a folder in diffusers' layout (config.json and safetensors); a relative one is looked
    up beside this file. Guidance rows are [cond, uncond]; the null class is the last one. Raises
    ValueError, naming the file, for weights that are missing, truncated or of another model.
    """

    media = Png()

    def __init__(self, name: str, path: str, guidance: float, device: torch.device) -> None:
        folder = Path(__file__).parent / path
        self.name, self.guidance, self.device = name, _number(guidance), device
        self.config, data = _read(folder)
        self.denoiser = _filled(self.config, data, folder / WEIGHTS).to(device)
        self.classes: int = self.config["num_embeds_ada_norm"]
        size = self.config["sample_size"]
        self.sample_shape = (self.config["in_channels"], size, size)
        self.forwards, self.missing = 1, None
        self.identity = {
            "name": name,
            "weights_sha256": hashlib.sha256(data).hexdigest(),
            "architecture": self.config,
            "dtype": "float32",
            "guidance": self.guidance,
            "numerics": {"device": device.type, "matmul": torch.get_float32_matmul_precision()},
        }

    def conditions(self, seeds: Sequence[int]) -> Tensor:
        """Classes in turn: a seed's class is its number modulo the classes."""
        return torch.tensor(seeds) % self.classes

    @property
    def rows(self) -> int:
        """Rows of an evaluation: with guidance the conditional and the unconditional one."""
        return 1 if self.guidance == 1 else 2

    def unconditional(self, count: int) -> Tensor:
        """The null class."""
        return torch.full((count,), self.classes)

    def output(self, x: Tensor, t: float, conditions: Tensor) -> Tensor:
        """The denoiser's own output for these classes, null class included."""
        return self._rows(self.denoiser, x, t, conditions.to(x.device))

    def predict(self, x: Tensor, t: float, conditions: Tensor, branch: Branch) -> Tensor:
        """uncond + guidance * (cond - uncond); a guidance of 1 runs the conditional rows alone."""
        branch(0)
        conditions = conditions.to(x.device)
        if self.guidance == 1:
            return self.output(x, t, conditions)
        labels = torch.cat([conditions, torch.full_like(conditions, self.classes)])
        cond, uncond = self._rows(self.denoiser, torch.cat([x, x]), t, labels).chunk(2)
        return torch.lerp(uncond, cond, self.guidance)

    def decode(self, x: Tensor) -> Tensor:
        """Pixels uint8 [B, C, H, W]."""
        return ((x.clamp(-1, 1) + 1) * 127.5).round().to("cpu", torch.uint8)

    def skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        """The same architecture without storage, and its forward for one sample."""
        with torch.device("meta"):
            denoiser = _empty(self.config)
            x, labels = torch.empty(self.rows, *self.sample_shape), torch.empty(self.rows, dtype=torch.long)
        return denoiser, partial(self._rows, denoiser, x, 0.0, labels)

    @staticmethod
    def _rows(denoiser: nn.Module, x: Tensor, t: float, labels: Tensor) -> Tensor:
        timestep = torch.full((len(x),), int(t), device=x.device)
        return denoiser(x, timestep=timestep, class_labels=labels, return_dict=False)[0]


def _number(guidance: float) -> float:
    try:
        return float(guidance)
    except (TypeError, ValueError):
        raise ValueError(f"model.guidance must be a number (1: none), not {guidance}") from None


def _read(folder: Path) -> tuple[dict[str, Any], bytes]:
    try:
        return json.loads((folder / "config.json").read_text()), (folder / WEIGHTS).read_bytes()
    except FileNotFoundError as error:
        raise ValueError(
            f"weights {error.filename}: no such file; model.path must be a folder with config.json and {WEIGHTS}"
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / 'config.json'} is not JSON: {error}") from None


def _empty(config: dict[str, Any]) -> nn.Module:
    return DiTTransformer2DModel.from_config(config).eval().requires_grad_(False)


def _filled(config: dict[str, Any], data: bytes, path: Path) -> nn.Module:
    denoiser = _empty(config)
    try:
        denoiser.load_state_dict(load(data))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"weights {path}: damaged or of another model ({reason})") from None
    return denoiser
