"""Checks of a method's parameters and of the model that it gets: each raises ValueError in one line."""

from math import isfinite

from torch import nn

from smoothbench.caching import Evaluation
from smoothbench.caching.blocks import is_unet


def check_number(name: str, value: object) -> None:
    """Raise ValueError, naming the parameter, for anything but a finite number from 0."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number from 0, not {value!r}")


def check_whole(name: str, value: object, least: int = 1) -> None:
    """Raise ValueError, naming the parameter, for anything but a whole number from `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number from {least}, not {value!r}")


def known_evals(method: str, evaluation: Evaluation) -> int:
    """Return how many evaluations the run has; ValueError, naming the method, where nobody knows."""
    if evaluation.evals is None:
        raise ValueError(f"{method} must know the number of evaluations: cached(..., evals=...)")
    return evaluation.evals


def refuse_unet(method: str, denoiser: nn.Module) -> None:
    """Raise ValueError, naming both, for a denoiser that has no stack of blocks but the paths of a U-Net."""
    if is_unet(denoiser):
        raise ValueError(
            f"{method} needs a transformer's stack of blocks, and {type(denoiser).__name__} is a U-Net"
        )
