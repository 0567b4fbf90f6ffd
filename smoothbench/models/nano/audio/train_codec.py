"""Train the codec of `stable_audio_nano`.

    python -m smoothbench.models.nano.audio.train_codec --corpus results/runs/audio/corpus \\
        --out smoothbench/models/nano/audio/codec

Goes on where it stopped. Both halves learn to bring back the magnitudes. With `--start DIR` the encoder
of that codec stays as it is and its decoder learns on: a denoiser trained on its latents stays good.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from smoothbench.models.nano import training_command
from smoothbench.models.nano.audio import corpus
from smoothbench.models.nano.audio.codec import CHANNELS, LENGTH, NOISE, Decoder, Encoder
from smoothbench.models.nano.audio.spectrogram import compress, expand, log_magnitude, log_mel, to_mel
from smoothbench.models.nano.autoencoder_training import Autoencoder, Lesson, add_options, train_autoencoder
from smoothbench.models.nano.training import Recipe

BATCH: Final = 32
HELD_OUT: Final = 128
LOUD: Final = 4.0  # weight of the loud over the silent: the ear hears partials, not floors


def empty_codec(frozen: bool) -> Autoencoder:
    """Build both halves, with weights drawn from torch's current seed."""
    return Autoencoder(Encoder(), Decoder(), frozen)


def distance(predicted: Tensor, audio: Tensor) -> Tensor:
    """Return the L1 distance of compressed magnitudes, louder bins weighing more, plus that of their mel bands."""
    target = log_magnitude(audio)
    weight = 1 + LOUD * (target + 1) / 2
    linear = (weight * (predicted - target).abs()).mean()
    bands = compress(to_mel(expand(predicted))) - compress(to_mel(expand(target)))
    return linear + bands.abs().mean()


def reconstruct(model: nn.Module, audio: Tensor, generator: torch.Generator) -> Tensor:
    """Return the loss on these clips int16 [N, samples], with noise on their latents."""
    noise = NOISE * torch.randn(len(audio), CHANNELS, LENGTH, generator=generator)
    return distance(model(log_mel(audio), noise), audio)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the codec; the exit code."""
    parser = training_command.parser(
        "audio.train_codec", __doc__, "folder of the finished codec", work="results/runs/audio/train_codec"
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the rendered clips")
    add_options(parser, 2700, f"{BATCH} clips")
    return training_command.main(parser, _train, arguments)


def _train(options: argparse.Namespace) -> None:
    clips = corpus.load(options.corpus, "train").audio
    held_out, clips = clips[-HELD_OUT:], clips[:-HELD_OUT]

    def draw(generator: torch.Generator) -> Tensor:
        return clips[torch.randint(len(clips), (BATCH,), generator=generator)]

    recipe = Recipe(options.steps, lr=2e-3, weight_decay=0.01, warmup=200, ema=0.995, look_every=250)
    train_autoencoder(Lesson(empty_codec, draw, held_out, reconstruct), recipe, options)


if __name__ == "__main__":
    sys.exit(main())
