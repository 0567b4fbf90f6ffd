"""Training of the embedded autoencoders: both halves at once, or the decoder alone on an encoder that stays."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.models.nano.files import save
from smoothbench.models.nano.training import Recipe, train
from smoothbench.models.weights.read import fill, read_tensors

HALVES = ("encoder", "decoder")


class Autoencoder(nn.Module):
    """Encoder and decoder as one module; the encoder learns unless it is frozen.

    forward(inputs, noise of the latents' shape) gives what the decoder makes of the noisy latents.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, frozen: bool) -> None:
        super().__init__()
        self.encoder, self.decoder, self.frozen = encoder, decoder, frozen
        self.encoder.requires_grad_(not frozen)

    def forward(self, inputs: Tensor, noise: Tensor) -> Tensor:
        self.encoder.train(self.training and not self.frozen)
        return self.decoder(self.encoder(inputs) + noise)


@dataclass(frozen=True)
class Lesson:
    """The task of training an autoencoder: `draw` gives a training batch, on which `loss` is minimised.

    `held_out` is the batch that chooses the best weights. All random numbers come from the given generator.
    """

    empty: Callable[[bool], Autoencoder]
    draw: Callable[[torch.Generator], Tensor]
    held_out: Tensor
    loss: Callable[[nn.Module, Tensor, torch.Generator], Tensor]


def add_options(parser: argparse.ArgumentParser, steps: int, batch: str) -> None:
    """Add `--steps`, optimiser steps of such a batch, and `--start`."""
    parser.add_argument("--steps", type=int, default=steps, help=f"optimiser steps of {batch}")
    parser.add_argument("--start", type=Path, help="folder of an autoencoder whose encoder stays as it is")


def train_autoencoder(lesson: Lesson, recipe: Recipe, options: argparse.Namespace) -> None:
    """Train an autoencoder and write its halves to `options.out`; both learn from seed 0, or go on from `start`.

    Raises ValueError, naming the folder, where `options.start` holds no autoencoder of this kind.
    """

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        return lesson.loss(model, lesson.draw(generator), generator)

    @torch.inference_mode()
    def validate(model: nn.Module) -> float:
        return lesson.loss(model, lesson.held_out, torch.Generator().manual_seed(1)).item()

    torch.manual_seed(0)
    model = lesson.empty(options.start is not None)
    if options.start:
        for name in HALVES:
            file = options.start / f"{name}.safetensors"
            fill(model.get_submodule(name), read_tensors(file), options.start)
    # the layout in which convolutions over images are fast; others it leaves as they are
    faster: nn.Module = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained: Any = train(faster, loss, validate, recipe, options.work)
    for name in HALVES:
        save(trained.get_submodule(name), options.out / f"{name}.safetensors")
