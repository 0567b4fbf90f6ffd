"""What a tiny denoiser is made of: its configuration, and forward arguments that depend on the timestep."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from torch import Tensor, nn


class Noise(tuple[int, ...]):
    """The shape of an argument of Gaussian noise."""

    def __new__(cls, *shape: int) -> "Noise":
        return super().__new__(cls, shape)


class Ones(tuple[int, ...]):
    """The shape of an argument of ones, for example of a mask."""

    dtype = torch.float32

    def __new__(cls, *shape: int) -> "Ones":
        return super().__new__(cls, shape)


class Flags(Ones):
    """The shape of an argument that is true everywhere."""

    dtype = torch.bool


class Zeros(tuple[int, ...]):
    """The shape of an argument of whole zeros, for example of positions."""

    def __new__(cls, *shape: int) -> "Zeros":
        return super().__new__(cls, shape)


@dataclass(frozen=True)
class Time:
    """The timestep: a tensor of `shape` filled with `scale` times the noise level, which falls from 1 to 0."""

    shape: tuple[int, ...] = (2,)
    scale: float = 1000.0
    rises: bool = False

    def at(self, level: float) -> Tensor:
        """The timestep at a noise level."""
        return torch.full(self.shape, self.scale * (1 - level if self.rises else level))


@dataclass(frozen=True)
class Tiny:
    """A tiny denoiser: the class of diffusers, its configuration and the arguments of its forward."""

    configuration: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self, name: str) -> nn.Module:
        """Build the class of this name with random weights of unit gain."""
        torch.manual_seed(0)
        cls = getattr(diffusers, name)
        denoiser: nn.Module = cls(**self.configuration).eval().requires_grad_(False)
        unit_gain(denoiser)
        return denoiser

    def at(self, level: float) -> dict[str, Any]:
        """The arguments of the forward at a noise level; the first tensor moves with it."""
        generator = torch.Generator().manual_seed(1)
        arguments = {name: _argument(part, level, generator) for name, part in self.arguments.items()}
        first = next(iter(arguments))
        direction = _argument(self.arguments[first], level, generator)
        arguments[first] = _moved(arguments[first], direction, level)
        return arguments


def _argument(part: Any, level: float, generator: torch.Generator) -> Any:
    """The argument that a description stands for; what is no description stands for itself."""
    if isinstance(part, Noise):
        return torch.randn(part, generator=generator)
    if isinstance(part, Ones):
        return torch.ones(part, dtype=part.dtype)
    if isinstance(part, Zeros):
        return torch.zeros(part, dtype=torch.long)
    if isinstance(part, Time):
        return part.at(level)
    if isinstance(part, list):
        return [_argument(inner, level, generator) for inner in part]
    if isinstance(part, dict):
        return {key: _argument(inner, level, generator) for key, inner in part.items()}
    return part


def _moved(start: Any, direction: Any, level: float) -> Any:
    if isinstance(start, list):
        return [_moved(a, b, level) for a, b in zip(start, direction, strict=True)]
    return start * math.cos(level) + direction * math.sin(level)


def unit_gain(module: nn.Module) -> None:
    """Draw weights so that each layer keeps the size of its input, and no branch or gate is 0."""
    for name, weight in module.named_parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=math.sqrt(len(weight) / max(weight.numel(), 1)))
        elif name.endswith("weight"):
            nn.init.ones_(weight)
        else:
            nn.init.normal_(weight, std=0.1)
