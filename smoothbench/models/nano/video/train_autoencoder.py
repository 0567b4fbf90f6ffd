"""Train the frame autoencoder of `opensora_nano`.

    python -m smoothbench.models.nano.video.train_autoencoder --out smoothbench/models/nano/video/autoencoder

Goes on where it stopped. With `--start DIR` the encoder of that autoencoder stays as it is and its decoder
learns on: a denoiser trained on its latents stays good.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from smoothbench.models.nano import training_command
from smoothbench.models.nano.autoencoder_training import Autoencoder, Lesson, add_options, train_autoencoder
from smoothbench.models.nano.training import Recipe
from smoothbench.models.nano.video.autoencoder import CHANNELS, LATENT, NOISE, Decoder, Encoder
from smoothbench.models.nano.video.corpus import FRAMES, Sprites, train_clips

CLIPS: Final = 32  # of a step; two frames of each
FIRST: Final = 100_000_000  # seeds of these clips
HELD_OUT: Final = 90_000_000
SPRITE: Final = 8.0  # weight of what is not background


def empty_autoencoder(frozen: bool) -> Autoencoder:
    """Build both halves, with weights drawn from torch's current seed."""
    return Autoencoder(Encoder(), Decoder(), frozen)


def distance(predicted: Tensor, frames: Tensor) -> Tensor:
    """Return the squared and absolute error, the sprite's pixels weighing more than the background's."""
    target = frames.float() / 127.5 - 1
    ground = target[..., :1, :1]
    weight = 1 + SPRITE * (target - ground).abs().amax(1, keepdim=True)
    error = predicted - target
    return (weight * (error.square() + 0.1 * error.abs())).mean()


def reconstruct(model: nn.Module, frames: Tensor, generator: torch.Generator) -> Tensor:
    """Return the loss on these frames [N, 3, 32, 32], with noise on their latents."""
    noise = NOISE * torch.randn(len(frames), CHANNELS, LATENT, LATENT, generator=generator)
    return distance(model(frames, noise), frames)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the autoencoder; the exit code."""
    parser = training_command.parser(
        "video.train_autoencoder",
        __doc__,
        "folder of the finished autoencoder",
        work="results/runs/video/train_autoencoder",
    )
    add_options(parser, 1200, f"{2 * CLIPS} frames")
    return training_command.main(parser, _train, arguments)


def _train(options: argparse.Namespace) -> None:
    sprites = Sprites("train")
    held_out = sprites.draw(train_clips(HELD_OUT, 128))[:, :: FRAMES // 2].flatten(0, 1)

    def draw(generator: torch.Generator) -> Tensor:
        first = int(torch.randint(FIRST, (), generator=generator)) + FIRST
        frames = torch.randint(FRAMES, (CLIPS, 2), generator=generator)
        clips = sprites.draw(train_clips(first, CLIPS))
        return clips[torch.arange(CLIPS)[:, None], frames].flatten(0, 1)

    recipe = Recipe(options.steps, lr=2e-3, weight_decay=0.01, warmup=100, ema=0.995, look_every=100)
    train_autoencoder(Lesson(empty_autoencoder, draw, held_out, reconstruct), recipe, options)


if __name__ == "__main__":
    sys.exit(main())
