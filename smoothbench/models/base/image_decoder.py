"""Stable Diffusion's image decoder, which latent diffusion transformers share."""

from typing import Any, Final

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from smoothbench.models.weights.diffusers_layout import load_component
from smoothbench.models.weights.locate import Files, find
from smoothbench.models.weights.read import cast

REPOSITORY = "stabilityai/sd-vae-ft-ema"
PIXELS = 8 * 256**2  # decoded at once, so that memory does not grow with the batch
PUBLISHED: Final = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 256,
}


class Decoder:
    """Decodes latents to images in [-1, 1], in float32 and in small batches.

    Without files it is the published architecture with random weights, for latencies alone. Raises
    ValueError, naming the file, for weights that are damaged or of another model.
    """

    def __init__(self, files: Files | None, channels: int, device: torch.device) -> None:
        if files is None:
            self._vae: Any = AutoencoderKL(latent_channels=channels, **PUBLISHED)
        else:
            self._vae = load_component(AutoencoderKL, files, low_cpu_mem_usage=False)
        cast(self._vae, torch.float32).requires_grad_(False).eval().to(device)
        self._scale: float = self._vae.config.scaling_factor
        self._enlarged = 2 ** (len(self._vae.config.block_out_channels) - 1)

    @torch.inference_mode()
    def __call__(self, latents: Tensor) -> Tensor:
        """Decode latents [B, C, h, w] to images [B, 3, H, W]."""
        pixels = latents[0, 0].numel() * self._enlarged**2
        pieces = latents.float().split(max(1, PIXELS // pixels))
        return torch.cat([self._vae.decode(piece / self._scale, return_dict=False)[0] for piece in pieces])


def find_decoder(source: str | None, model_path: str | None, revision: str | None) -> Files | None:
    """Find the decoder: that of `model.vae`, else the one in the transformer's repository, else the published one.

    None where it is not here. Raises ValueError for a folder that holds none.
    """
    if source is None and model_path is None:
        return find(REPOSITORY, None, [""], "model.vae")
    if source is None:
        return find(str(model_path), revision, ["vae"], "model.path")
    return find(source, None, ["", "vae"], "model.vae")


def check_decoder(files: Files, channels: int) -> float:
    """Return the scaling factor of a decoder; ValueError, naming the file, for one that does not fit the model."""
    config, path = files.config(), files.folder
    kind, latent_channels = config.get("_class_name"), config.get("latent_channels", 4)
    if kind != AutoencoderKL.__name__:
        raise ValueError(f"{path}: a {kind}, not an {AutoencoderKL.__name__}: set model.vae")
    if latent_channels != channels:
        raise ValueError(
            f"{path}: decodes {latent_channels} channels, the model has {channels}: set model.vae"
        )
    return float(config.get("scaling_factor", 0.18215))
