"""Train the frame autoencoder of `opensora_nano`.

    python -m smoothbench.models.nano.video.train_autoencoder --out smoothbench/models/nano/video/autoencoder

Goes on where it stopped. With `--start DIR` the encoder of that autoencoder stays as it is and its decoder
learns on: a denoiser trained on its latents stays good.
"""

import argparse
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from smoothbench.models.nano.files import save
from smoothbench.models.nano.training import Recipe, train
from smoothbench.models.nano.video.autoencoder import CHANNELS, LATENT, NOISE, Decoder, Encoder
from smoothbench.models.nano.video.corpus import FRAMES, Sprites, train_clips
from smoothbench.models.tensors import fill, read_tensors

CLIPS: Final = 32  # of a step; two frames of each
FIRST: Final = 100_000_000  # seeds of these clips
HELD_OUT: Final = 90_000_000
SPRITE: Final = 8.0  # weight of what is not background


class Autoencoder(nn.Module):
    """Encoder and decoder as one module; the encoder learns unless it is frozen."""

    def __init__(self, frozen: bool) -> None:
        super().__init__()
        self.encoder, self.decoder, self.frozen = Encoder(), Decoder(), frozen
        self.encoder.requires_grad_(not frozen)

    def forward(self, frames: Tensor, noise: Tensor) -> Tensor:
        self.encoder.train(self.training and not self.frozen)
        return self.decoder(self.encoder(frames) + noise)


def distance(predicted: Tensor, frames: Tensor) -> Tensor:
    """Squared and absolute error, the sprite's pixels weighing more than the background's."""
    wanted = frames.float() / 127.5 - 1
    ground = wanted[..., :1, :1]
    weight = 1 + SPRITE * (wanted - ground).abs().amax(1, keepdim=True)
    error = predicted - wanted
    return (weight * (error.square() + 0.1 * error.abs())).mean()


def reconstruct(model: nn.Module, frames: Tensor, generator: torch.Generator) -> Tensor:
    """The loss on these frames [N, 3, 32, 32], with noise on their latents."""
    noise = NOISE * torch.randn(len(frames), CHANNELS, LATENT, LATENT, generator=generator)
    return distance(model(frames, noise), frames)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished autoencoder")
    parser.add_argument(
        "--work", type=Path, default=Path("results/runs/video/train_autoencoder"), help="checkpoints"
    )
    parser.add_argument("--steps", type=int, default=1200, help=f"optimiser steps of {2 * CLIPS} frames")
    parser.add_argument("--start", type=Path, help="folder of an autoencoder whose encoder stays as it is")
    args = parser.parse_args()

    sprites = Sprites("train")
    held_out = sprites.draw(train_clips(HELD_OUT, 128))[:, :: FRAMES // 2].flatten(0, 1)

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        first = int(torch.randint(FIRST, (), generator=generator)) + FIRST
        frames = torch.randint(FRAMES, (CLIPS, 2), generator=generator)
        clips = sprites.draw(train_clips(first, CLIPS))
        return reconstruct(model, clips[torch.arange(CLIPS)[:, None], frames].flatten(0, 1), generator)

    @torch.inference_mode()
    def validate(model: nn.Module) -> float:
        return reconstruct(model, held_out, torch.Generator().manual_seed(1)).item()

    torch.manual_seed(0)
    model = Autoencoder(frozen=args.start is not None)
    if args.start:
        for name in ("encoder", "decoder"):
            fill(model.get_submodule(name), read_tensors(args.start / f"{name}.safetensors"), args.start)
    faster: nn.Module = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recipe = Recipe(steps=args.steps, lr=2e-3, weight_decay=0.01, warmup=100, ema=0.995, look_every=100)
    trained: Any = train(faster, loss, validate, recipe, args.work)
    save(trained.encoder, args.out / "encoder.safetensors")
    save(trained.decoder, args.out / "decoder.safetensors")


if __name__ == "__main__":
    main()
