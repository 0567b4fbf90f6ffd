"""Train the codec of `stable_audio_nano`.

    python -m smoothbench.models.nano.audio.train_codec --corpus results/runs/audio/corpus \\
        --out smoothbench/models/nano/audio/codec

Goes on where it stopped. Both halves learn to bring back the magnitudes. With `--start DIR` the encoder
of that codec stays as it is and its decoder learns on: a denoiser trained on its latents stays good.
"""

import argparse
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from smoothbench.models.nano.audio import corpus
from smoothbench.models.nano.audio.codec import NOISE, Decoder, Encoder
from smoothbench.models.nano.audio.spectrogram import compress, expand, log_magnitude, log_mel, to_mel
from smoothbench.models.nano.files import save
from smoothbench.models.nano.training import Recipe, train
from smoothbench.models.tensors import fill, read_tensors

BATCH: Final = 32
LOUD: Final = 4.0  # weight of the loud over the silent: the ear hears partials, not floors


class Autoencoder(nn.Module):
    """Encoder and decoder as one module; the encoder learns unless it is frozen."""

    def __init__(self, frozen: bool) -> None:
        super().__init__()
        self.encoder, self.decoder, self.frozen = Encoder(), Decoder(), frozen
        self.encoder.requires_grad_(not frozen)

    def forward(self, mel: Tensor, noise: Tensor) -> Tensor:
        self.encoder.train(self.training and not self.frozen)
        latents = self.encoder(mel)
        return self.decoder(latents + NOISE * noise)


def distance(predicted: Tensor, audio: Tensor) -> Tensor:
    """L1 between compressed magnitudes, louder bins weighing more, and between their mel bands."""
    wanted = log_magnitude(audio)
    weight = 1 + LOUD * (wanted + 1) / 2
    linear = (weight * (predicted - wanted).abs()).mean()
    bands = compress(to_mel(expand(predicted))) - compress(to_mel(expand(wanted)))
    return linear + bands.abs().mean()


def reconstruct(model: nn.Module, audio: Tensor, generator: torch.Generator) -> Tensor:
    """The loss on these clips, with noise on their latents."""
    noise = torch.randn(len(audio), 32, 64, generator=generator)
    return distance(model(log_mel(audio), noise), audio)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the rendered clips")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished codec")
    parser.add_argument(
        "--work", type=Path, default=Path("results/runs/audio/train_codec"), help="checkpoints"
    )
    parser.add_argument("--steps", type=int, default=2700, help=f"optimiser steps of {BATCH} clips")
    parser.add_argument("--start", type=Path, help="folder of a codec whose encoder stays as it is")
    args = parser.parse_args()

    clips = corpus.load(args.corpus, "train").audio
    held_out, clips = clips[-128:], clips[:-128]

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        return reconstruct(model, clips[torch.randint(len(clips), (BATCH,), generator=generator)], generator)

    @torch.inference_mode()
    def validate(model: nn.Module) -> float:
        return reconstruct(model, held_out, torch.Generator().manual_seed(1)).item()

    torch.manual_seed(0)
    model = Autoencoder(frozen=args.start is not None)
    if args.start:
        for name in ("encoder", "decoder"):
            fill(model.get_submodule(name), read_tensors(args.start / f"{name}.safetensors"), args.start)
    recipe = Recipe(steps=args.steps, lr=2e-3, weight_decay=0.01, warmup=200, ema=0.995, look_every=250)
    trained: Any = train(model, loss, validate, recipe, args.work)
    save(trained.encoder, args.out / "encoder.safetensors")
    save(trained.decoder, args.out / "decoder.safetensors")


if __name__ == "__main__":
    main()
