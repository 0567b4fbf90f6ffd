"""The shared training of the embedded text-conditioned denoisers: losses on stored latents, and `--export`."""

import argparse
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from smoothbench.models.nano.training import Recipe, train

Batch = tuple[Tensor, ...]  # latents and what conditions them, one row a clip
# the loss of a training step, and that of the held-out clips
Losses = tuple[Callable[..., Tensor], Callable[[nn.Module], float]]
SquaredError = Callable[[Any, Any, torch.Generator], Tensor]  # of a model on a batch


def losses(data: Batch, squared_error: SquaredError, batch: int, held_out: int) -> Losses:
    """Make the loss of a step on a random batch, and that on the held-out last clips with the same noise each time."""
    count = len(data[0]) - held_out

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        drawn = torch.randint(count, (batch,), generator=generator)
        return squared_error(model, tuple(part[drawn] for part in data), generator)

    @torch.inference_mode()
    def validate(model: nn.Module) -> float:
        last = tuple(part[-held_out:] for part in data)
        return squared_error(model, last, torch.Generator().manual_seed(1)).item()

    return loss, validate


def add_options(parser: argparse.ArgumentParser, clips: int) -> None:
    """Add `--clips`, how long to train, and `--export`."""
    parser.add_argument("--clips", type=int, default=clips, help="training clips seen in all")
    parser.add_argument("--export", action="store_true", help="write the weights so far, train nothing")


def trained(
    model: nn.Module,
    lesson: Callable[[], Losses],
    recipe: Recipe,
    options: argparse.Namespace,
    exported: Literal["best", "ema"],
) -> nn.Module:
    """Train a model on what `lesson` gives; with `options.export` take its checkpoint's `exported` weights instead.

    Raises FileNotFoundError where there is no checkpoint to export.
    """
    if options.export:
        checkpoint = torch.load(options.work / "checkpoint.pt", map_location="cpu", weights_only=True)
        model.load_state_dict(checkpoint[exported])
        return model
    return train(model, *lesson(), recipe, options.work)
