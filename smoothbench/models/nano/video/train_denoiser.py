"""Train the denoiser of `opensora_nano` and, with it, its text encoder.

    python -m smoothbench.models.nano.video.train_denoiser \\
        --autoencoder smoothbench/models/nano/video/autoencoder --out smoothbench/models/nano/video

Goes on where it stopped; with `--export` it writes the moving average so far and trains nothing.
Rectified flow as Open-Sora 1.2 has it (report 03; Liu et al. 2022, arXiv 2209.03003): z = (1 - t) x0 + t
noise, v = x0 - noise, t logit-normal (Esser et al. 2024, arXiv 2403.03206, section 3.1), shifted towards the
noise. Whole captions are dropped to the null caption, whose states are fixed random numbers; half of those
see all of it, the others as much of it as their caption has words, which is what guidance shows.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from tqdm import tqdm

from smoothbench.models.nano import training_command
from smoothbench.models.nano.denoiser_training import Losses, add_options, losses, trained
from smoothbench.models.nano.files import restore, save, write_config, write_tensors
from smoothbench.models.nano.training import Recipe
from smoothbench.models.nano.video.autoencoder import Encoder, encoded
from smoothbench.models.nano.video.corpus import Sprites, train_clips
from smoothbench.models.nano.video.denoiser import CONFIG, empty_denoiser, velocity
from smoothbench.models.nano.video.text import VOCABULARY, empty_text_encoder
from smoothbench.models.weights.read import read_tensors

BATCH: Final = 32
HELD_OUT: Final = 256
DROPOUT: Final = 0.1
LOGIT: Final = (1.2, 1.4)  # mean and deviation: frames are alike, so what moves shows through much noise
PART: Final = 64  # clips drawn at a time
LOOK: Final = 100  # steps from one checkpoint to the next

Batch = tuple[Tensor, Tensor]  # latents [N, C, T, H, W], words [N, 8]


class Joint(nn.Module):
    """Denoiser and text encoder, trained as one."""

    def __init__(self) -> None:
        super().__init__()
        self.denoiser, self.text = empty_denoiser(), empty_text_encoder()


def times(count: int, generator: torch.Generator) -> Tensor:
    """Draw logit-normal times [N], spread evenly over their quantiles, so that a batch's loss varies less."""
    even = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    even = even[torch.randperm(count, generator=generator)].clamp(1e-4, 1 - 1e-4)
    mean, deviation = LOGIT
    return (mean + deviation * torch.special.ndtri(even)).sigmoid()


def squared_error(model: Any, batch: Batch, generator: torch.Generator) -> Tensor:
    """Return the mean squared error of v."""
    clean, words = batch[0].float(), batch[1]
    t = times(len(clean), generator)
    noise = torch.randn(clean.shape, generator=generator)
    dropped, sees_all = torch.rand(2, len(clean), 1, generator=generator) < torch.tensor(
        [[[DROPOUT]], [[0.5]]]
    )
    states = torch.where(dropped[..., None], model.denoiser.y_embedder.y_embedding, model.text(words))
    mask = (words > 0) | (dropped & sees_all)
    mixed = torch.lerp(clean, noise, t.view(-1, 1, 1, 1, 1))
    return nn.functional.mse_loss(velocity(model.denoiser, mixed, t, states, mask), clean - noise)


def latents(autoencoder: Path, file: Path, count: int) -> Batch:
    """Return training clips as latents (float16) and words: drawn and encoded once, then read from the file."""
    if not file.exists():
        encoder = restore(Encoder(), autoencoder / "encoder.safetensors")
        sprites, clips = Sprites("train"), train_clips(0, count, backwards=False)
        parts = [clips[i : i + PART] for i in range(0, count, PART)]
        batches = [encoded(encoder, sprites.draw(part)).half() for part in tqdm(parts, desc="latents")]
        words = VOCABULARY.tokenize([clip.scene.caption for clip in clips])
        write_tensors({"latents": torch.cat(batches), "words": words}, file)
    stored = read_tensors(file)
    return stored["latents"], stored["words"]


def write(model: Any, out: Path) -> None:
    """Write the finished model in half precision: the denoiser in Open-Sora's layout, and the text encoder."""
    write_config(CONFIG, out / "denoiser" / "config.json")
    save(model.denoiser, out / "denoiser" / "model.safetensors")
    save(model.text, out / "text.safetensors")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the denoiser and the text encoder; the exit code."""
    parser = training_command.parser(
        "video.train_denoiser",
        __doc__,
        "folder of the finished model",
        work="results/runs/video/train_denoiser",
    )
    parser.add_argument("--autoencoder", type=Path, required=True, help="folder of the trained autoencoder")
    parser.add_argument("--corpus", type=int, default=15_000, help="different clips")
    add_options(parser, 179_200)
    return training_command.main(parser, _train, arguments)


def _train(options: argparse.Namespace) -> None:
    def lesson() -> Losses:
        data = latents(options.autoencoder, options.work / "latents.safetensors", options.corpus)
        return losses(data, squared_error, BATCH, HELD_OUT)

    torch.manual_seed(0)
    steps = options.clips // BATCH
    recipe = Recipe(steps, lr=1.5e-3, weight_decay=0.01, warmup=200, ema=0.998, look_every=LOOK)
    write(trained(Joint(), lesson, recipe, options, exported="ema"), options.out)


if __name__ == "__main__":
    sys.exit(main())
