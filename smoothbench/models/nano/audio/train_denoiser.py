"""Train the denoiser of `stable_audio_nano` and, with it, its text encoder.

    python -m smoothbench.models.nano.audio.train_denoiser --corpus results/runs/audio/corpus \\
        --codec smoothbench/models/nano/audio/codec --out smoothbench/models/nano/audio

Goes on where it stopped; with `--export` it writes the best weights so far and trains nothing.
v-prediction at times that are uniform in (0, 1), captions dropped for guidance (Evans et al. 2024,
arXiv 2407.14358): text and seconds of the cross-attention become zero, the global seconds stay.
"""

import argparse
import copy
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from smoothbench.models.nano import training_command
from smoothbench.models.nano.audio import corpus
from smoothbench.models.nano.audio.codec import Encoder
from smoothbench.models.nano.audio.conditioner import VOCABULARY, Conditioner
from smoothbench.models.nano.audio.corpus import Corpus
from smoothbench.models.nano.audio.denoiser import empty_denoiser, velocity
from smoothbench.models.nano.audio.grammar import Sound
from smoothbench.models.nano.audio.spectrogram import log_mel
from smoothbench.models.nano.denoiser_training import Losses, add_options, losses, trained
from smoothbench.models.nano.files import restore, save
from smoothbench.models.nano.training import Recipe

BATCH: Final = 64
HELD_OUT: Final = 512
DROPOUT: Final = 0.1
LEAST, MOST = 0.01, 0.995  # of the times: noise levels 0.016 to 127

Batch = tuple[Tensor, Tensor, Tensor]  # latents, words, seconds


class Joint(nn.Module):
    """Denoiser and conditioner, trained as one."""

    def __init__(self) -> None:
        super().__init__()
        self.denoiser, self.conditioner = empty_denoiser(), Conditioner()


def squared_error(model: Any, batch: Batch, generator: torch.Generator) -> Tensor:
    """Return the mean squared error of v; the times of a batch are spread evenly, so that its loss varies less."""
    clean, words, seconds = batch
    count = len(clean)
    even = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    t = LEAST + (MOST - LEAST) * even[torch.randperm(count, generator=generator)]
    noise = torch.randn(clean.shape, generator=generator)
    has_caption = (torch.rand(count, generator=generator) >= DROPOUT).float().view(-1, 1, 1)
    cos, sin = (each(t * math.pi / 2).view(-1, 1, 1) for each in (torch.cos, torch.sin))
    states, overall = model.conditioner(words, seconds)
    predicted = velocity(model.denoiser, cos * clean + sin * noise, t, has_caption * states, overall)
    return nn.functional.mse_loss(predicted, cos * noise - sin * clean)


@torch.inference_mode()
def encoded(clips: Corpus, encoder: nn.Module) -> Batch:
    """Encode all clips as latents, words and seconds."""
    latents = torch.cat([encoder(log_mel(part)) for part in clips.audio.split(256)])
    words = VOCABULARY.tokenize([Sound(*labels).caption for labels in clips.labels.tolist()])
    return latents.clone(), words, clips.seconds.clone()


def write(model: Any, out: Path) -> None:
    """Write the finished model in half precision: the denoiser in diffusers' layout, and the conditioner."""
    copy.deepcopy(model.denoiser).half().save_pretrained(out / "denoiser")
    save(model.conditioner, out / "conditioner.safetensors")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the denoiser and the conditioner; the exit code."""
    parser = training_command.parser(
        "audio.train_denoiser",
        __doc__,
        "folder of the finished model",
        work="results/runs/audio/train_denoiser",
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the rendered clips")
    parser.add_argument("--codec", type=Path, required=True, help="folder of the trained codec")
    add_options(parser, 640_000)
    return training_command.main(parser, _train, arguments)


def _train(options: argparse.Namespace) -> None:
    def lesson() -> Losses:
        encoder = restore(Encoder(), options.codec / "encoder.safetensors")
        data = encoded(corpus.load(options.corpus, "train"), encoder)
        return losses(data, squared_error, BATCH, HELD_OUT)

    torch.manual_seed(0)
    recipe = Recipe(steps=options.clips // BATCH, lr=1e-3, weight_decay=0.01, look_every=250)
    write(trained(Joint(), lesson, recipe, options, exported="best"), options.out)


if __name__ == "__main__":
    sys.exit(main())
