"""Tiny real denoisers of every class that has a fast forward, and a sampling run through each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from diffusers import SanaTransformer2DModel
from torch import Tensor, nn

from smoothbench.models.uvit.architecture import UViT
from tests.oracles.stdit3_equations import inputs as clip_inputs
from tests.oracles.stdit3_equations import tiny as tiny_stdit3
from tests.support.tiny_dit import build_tiny
from tests.support.tiny_pipelines import tiny_pixart_pipeline, tiny_stable_audio_pipeline

EVALS = 7
Step = Callable[[int, float, int], object]


@dataclass
class FastModel:
    """A denoiser, its constant inputs, the name and the first value of its main input, and its timesteps."""

    denoiser: nn.Module
    main: str
    noise: Tensor
    constant: dict[str, Any]
    timesteps: tuple[float, ...]
    time_dtype: torch.dtype = torch.float32

    def run(self, step: Step = lambda e, t, i: None, forwards: int = 1) -> Tensor:
        """Sample with as many forwards in each evaluation, which differ in their first constant tensor."""
        x = self.noise
        with torch.no_grad():
            for e, t in enumerate(self.timesteps):
                time = torch.full((len(x),), t).to(self.time_dtype)
                for index in range(forwards):
                    step(e, t, index)
                    output = self.denoiser(**{self.main: x, "timestep": time, **self._turned(index)})
                    change = output if isinstance(output, Tensor) else output[0]
                    x = x - 0.2 * change[:, : x.shape[1]]
        return x

    def _turned(self, index: int) -> dict[str, Any]:
        name = next(iter(self.constant))
        return {**self.constant, name: self.constant[name].roll(index, 0)}


@cache
def fast_model(name: str) -> FastModel:
    """Build a tiny denoiser by the short name of its class."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = MODELS[name]()
    model.denoiser.eval().requires_grad_(False)
    return model


def _dit() -> FastModel:
    steps = tuple(float(t) for t in torch.linspace(999, 0, EVALS).long())
    labels = torch.tensor([1, 7, 1, 10])
    return FastModel(
        build_tiny().denoiser,
        "hidden_states",
        torch.randn(4, 1, 8, 8),
        {"class_labels": labels},
        steps,
        torch.long,
    )


def _stable_audio() -> FastModel:
    constant = {
        "encoder_hidden_states": torch.randn(2, 5, 32),
        "global_hidden_states": torch.randn(2, 1, 64),
    }
    transformer = tiny_stable_audio_pipeline().transformer
    return FastModel(transformer, "hidden_states", torch.randn(2, 8, 24), constant, _falling(1.0))


def _pixart() -> FastModel:
    mask = torch.ones(2, 5)
    mask[0, 3:] = 0
    constant = {
        "encoder_hidden_states": torch.randn(2, 5, 32),
        "encoder_attention_mask": mask,
        "added_cond_kwargs": {"resolution": None, "aspect_ratio": None},
    }
    transformer = tiny_pixart_pipeline().transformer
    return FastModel(transformer, "hidden_states", torch.randn(2, 4, 8, 8), constant, _falling(999.0))


def _sana() -> FastModel:
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=8,
        sample_size=8,
        patch_size=1,
    )
    constant = {"encoder_hidden_states": torch.randn(2, 5, 8)}
    return FastModel(transformer, "hidden_states", torch.randn(2, 4, 8, 8), constant, _falling(999.0))


def _stdit3() -> FastModel:
    constant = clip_inputs(rows=2)
    noise = constant.pop("x")
    constant.pop("timestep")
    constant = {"y": constant.pop("y"), **constant}
    return FastModel(tiny_stdit3(), "x", noise, constant, _falling(1000.0))


def _uvit() -> FastModel:
    model = UViT(img_size=8, patch_size=2, in_chans=4, embed_dim=16, depth=4, num_heads=2, num_classes=10)
    return FastModel(
        model, "x", torch.randn(2, 4, 8, 8), {"class_labels": torch.tensor([3, 9])}, _falling(999.0)
    )


def _falling(first: float) -> tuple[float, ...]:
    return tuple(first * (1 - e / EVALS) for e in range(EVALS))


MODELS: dict[str, Callable[[], FastModel]] = {
    "dit": _dit,
    "stable_audio": _stable_audio,
    "pixart": _pixart,
    "sana": _sana,
    "stdit3": _stdit3,
    "uvit": _uvit,
}
