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
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from smoothbench.models.nano.audio import corpus
from smoothbench.models.nano.audio.codec import Encoder
from smoothbench.models.nano.audio.conditioner import VOCABULARY, Conditioner
from smoothbench.models.nano.audio.corpus import Corpus
from smoothbench.models.nano.audio.denoiser import empty_denoiser, velocity
from smoothbench.models.nano.audio.grammar import Sound
from smoothbench.models.nano.audio.spectrogram import log_mel
from smoothbench.models.nano.files import restore, save
from smoothbench.models.nano.training import Recipe, train

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
    """Mean squared error of v; the times of a batch are spread evenly, so that its loss varies less."""
    clean, words, seconds = batch
    count = len(clean)
    even = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    t = LEAST + (MOST - LEAST) * even[torch.randperm(count, generator=generator)]
    noise = torch.randn(clean.shape, generator=generator)
    kept = (torch.rand(count, generator=generator) >= DROPOUT).float().view(-1, 1, 1)
    cos, sin = (each(t * math.pi / 2).view(-1, 1, 1) for each in (torch.cos, torch.sin))
    seen, overall = model.conditioner(words, seconds)
    predicted = velocity(model.denoiser, cos * clean + sin * noise, t, kept * seen, overall)
    return nn.functional.mse_loss(predicted, cos * noise - sin * clean)


@torch.inference_mode()
def encoded(clips: Corpus, encoder: nn.Module) -> Batch:
    """All clips as latents, words and seconds."""
    latents = torch.cat([encoder(log_mel(part)) for part in clips.audio.split(256)])
    words = VOCABULARY.tokenize([Sound(*labels).caption for labels in clips.labels.tolist()])
    return latents.clone(), words, clips.seconds.clone()


def losses(data: Batch) -> tuple[Callable[..., Tensor], Callable[[nn.Module], float]]:
    """Of a training step, and of the last clips, with the same noise each time."""
    held_out = tuple(each[-HELD_OUT:] for each in data)
    count = len(data[0]) - HELD_OUT

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        rows = torch.randint(count, (BATCH,), generator=generator)
        latents, words, seconds = (each[rows] for each in data)
        return squared_error(model, (latents, words, seconds), generator)

    @torch.inference_mode()
    def validate(model: nn.Module) -> float:
        latents, words, seconds = held_out
        return squared_error(model, (latents, words, seconds), torch.Generator().manual_seed(1)).item()

    return loss, validate


def write(model: Any, out: Path) -> None:
    """The finished model: the denoiser in diffusers' layout, the conditioner, both in half precision."""
    copy.deepcopy(model.denoiser).half().save_pretrained(out / "denoiser")
    save(model.conditioner, out / "conditioner.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the rendered clips")
    parser.add_argument("--codec", type=Path, required=True, help="folder of the trained codec")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument(
        "--work", type=Path, default=Path("results/runs/audio/train_denoiser"), help="checkpoints"
    )
    parser.add_argument("--clips", type=int, default=640_000, help="training clips seen in all")
    parser.add_argument("--export", action="store_true", help="write the best weights so far, train nothing")
    args = parser.parse_args()

    torch.manual_seed(0)
    model = Joint()
    if args.export:
        model.load_state_dict(
            torch.load(args.work / "checkpoint.pt", map_location="cpu", weights_only=True)["best"]
        )
        write(model, args.out)
        return
    encoder = restore(Encoder(), args.codec / "encoder.safetensors")
    loss, validate = losses(encoded(corpus.load(args.corpus, "train"), encoder))
    recipe = Recipe(steps=args.clips // BATCH, lr=1e-3, weight_decay=0.01, look_every=250)
    write(train(model, loss, validate, recipe, args.work), args.out)


if __name__ == "__main__":
    main()
