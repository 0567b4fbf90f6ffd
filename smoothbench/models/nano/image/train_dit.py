"""Train `dit_nano`, the embedded class-conditional DiT on Fashion-MNIST.

    python -m smoothbench.models.nano.image.train_dit --out smoothbench/models/nano/image/dit

Goes on where it stopped. DDPM's linear betas and epsilon prediction (Ho et al. 2020), adaLN-zero
and label dropout for guidance (Peebles and Xie 2023, sections 3.2 and 3.4).
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import DiTTransformer2DModel
from torch import Tensor, nn

from smoothbench.models.nano import training_command
from smoothbench.models.nano.image import fashion_mnist
from smoothbench.models.nano.training import Recipe, train

CONFIG = {
    "num_attention_heads": 3,
    "attention_head_dim": 32,
    "num_layers": 6,
    "in_channels": 1,
    "out_channels": 1,
    "sample_size": 28,
    "patch_size": 4,
    "num_embeds_ada_norm": 10,
}
NULL = 10
LABEL_DROPOUT = 0.1
BATCH = 64


def zero_modulation(model: Any) -> None:
    """Start every block as the identity and the output at zero (adaLN-zero); diffusers does not."""
    blocks = [block.norm1.linear for block in model.transformer_blocks]
    for layer in (*blocks, model.proj_out_1, model.proj_out_2):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


def noised(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Diffuse images [B, 1, 28, 28] to random timesteps: x_t, t in 0..999, and the noise."""
    alphas_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
    t = torch.randint(1000, (len(images),), generator=generator)
    noise = torch.randn(images.shape, generator=generator)
    signal = alphas_bar[t].view(-1, 1, 1, 1)
    return signal.sqrt() * images + (1 - signal).sqrt() * noise, t, noise


def squared_error(model: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return the mean squared error of the predicted noise (Ho et al. 2020, equation 14)."""
    x, t, noise = noised(images, generator)
    return nn.functional.mse_loss(model(x, timestep=t, class_labels=labels).sample, noise)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the denoiser; the exit code."""
    parser = training_command.parser(
        "train_dit", __doc__, "folder of the finished model", work="results/runs/train_dit"
    )
    parser.add_argument("--images", type=int, default=1_400_000, help="training images seen in all")
    return training_command.main(parser, _run, arguments)


def _run(options: argparse.Namespace) -> None:
    pixels, labels = fashion_mnist.load("train")
    images = fashion_mnist.to_unit(pixels)
    held_out, held_labels = images[-2000:], labels[-2000:]
    images, labels = images[:-2000], labels[:-2000]

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(images), (BATCH,), generator=generator)
        dropped = torch.rand(BATCH, generator=generator) < LABEL_DROPOUT
        return squared_error(model, images[rows], labels[rows].masked_fill(dropped, NULL), generator)

    @torch.inference_mode()
    def validate(model: nn.Module) -> float:
        fixed = torch.Generator().manual_seed(1)
        return squared_error(model, held_out, held_labels, fixed).item()

    torch.manual_seed(0)
    model: Any = DiTTransformer2DModel(**CONFIG)
    zero_modulation(model)
    for block in model.transformer_blocks:
        # diffusers drops labels in each block on its own; we drop them once, for all blocks.
        block.norm1.emb.class_embedder.dropout_prob = 0.0
    recipe = Recipe(steps=options.images // BATCH, lr=1e-3, weight_decay=0.01)
    trained: Any = train(model, loss, validate, recipe, options.work)
    trained.save_pretrained(options.out)


if __name__ == "__main__":
    sys.exit(main())
