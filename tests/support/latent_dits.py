"""Small LatentDiT models for tests, from random weights in published layouts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.models.dit.latent import LatentDiT
from tests.oracles.dit_equations import Shape, Weights
from tests.support.compose import composed

CPU = torch.device("cpu")
SAFE, BIN = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"
TINY = {  # of tiny_pipelines.tiny_dit_pipeline
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 3,
    "in_channels": 4,
    "out_channels": 8,
    "sample_size": 8,
    "patch_size": 2,
    "num_embeds_ada_norm": 1000,
}


def latent_dit(path: Path | str | None, **more: Any) -> LatentDiT:
    """A model of that path; the tiny architecture unless another is given."""
    arguments = {"name": "tiny", "architecture": TINY, "device": CPU, **more}
    return LatentDiT(path=None if path is None else str(path), **arguments)


def architecture(shape: Shape) -> dict[str, int]:
    """The same in diffusers' words."""
    return {
        "num_attention_heads": shape.heads,
        "attention_head_dim": shape.width // shape.heads,
        "num_layers": shape.depth,
        "in_channels": shape.channels,
        "out_channels": 2 * shape.channels,
        "sample_size": shape.size,
        "patch_size": shape.patch,
        "num_embeds_ada_norm": shape.classes,
    }


def original(folder: Path, weights: Weights, shape: Shape, **more: Any) -> LatentDiT:
    """A model of an original checkpoint, saved in this folder."""
    path = folder / "DiT.pt"
    torch.save(weights, path)
    return latent_dit(path, architecture=architecture(shape), **more)


def refusal(build: Callable[[], Any], *says: Any) -> None:
    """It is refused in one line that says all this."""
    with pytest.raises(ValueError) as error:
        build()
    message = str(error.value)
    assert "\n" not in message and len(message) < 500
    for part in says:
        assert str(part) in message


def changes(folder: Path, part: str, **values: Any) -> None:
    """Write these values into a part's configuration."""
    path = folder / part / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def load(path: Path | str, **more: Any) -> Callable[[], object]:
    """Whatever reads the weights of a model."""
    return lambda: latent_dit(path, **more).denoiser


def by_yaml(name: str, *overrides: str) -> LatentDiT:
    """A model of conf/model, weights missing or not."""
    cfg = composed(f"model={name}", "metrics=[psnr,ssim]", *overrides)  # no encoder of ours knows ImageNet
    return build_model(settings(cfg).model, CPU)


def forward(model: LatentDiT) -> torch.Tensor:
    """What its denoiser makes of three fixed rows."""
    x = torch.randn(3, *model.sample_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.noise(x, 700.0, torch.tensor([1, 5, model.classes]))
