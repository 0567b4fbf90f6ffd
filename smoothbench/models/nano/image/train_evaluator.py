"""Train the Fashion-MNIST evaluation network, and write the real side of the metrics.

    python -m smoothbench.models.nano.image.train_evaluator --out smoothbench/models/nano/image/evaluator \\
        --real smoothbench/models/nano/image/real/images.npz

Goes on where it stopped. The network sees the training split only (its last 5,000 images choose
the best weights); the reference statistics and the real images are those of the untouched test split.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from smoothbench.models.nano import training_command
from smoothbench.models.nano.files import write_arrays, write_tensors
from smoothbench.models.nano.image import fashion_mnist
from smoothbench.models.nano.image.evaluator import Evaluator
from smoothbench.models.nano.training import Recipe, train

BATCH = 128
HELD_OUT = 5000
REAL = 5000  # enough for precision and recall, and half the size of the whole test split


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift the batch by up to two pixels and mirror half of its images."""
    dy, dx = torch.randint(-2, 3, (2,), generator=generator).tolist()
    images = torch.roll(nn.functional.pad(images, (2, 2, 2, 2)), (dy, dx), (2, 3))[..., 2:-2, 2:-2]
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)


@torch.inference_mode()
def outputs(network: nn.Module, images: Tensor, *names: str) -> list[Tensor]:
    """Collect the named outputs of the network over many images, in batches of 1,000."""
    parts = [[out[name] for name in names] for out in map(network, images.split(1000))]
    return [torch.cat(rows) for rows in zip(*parts, strict=True)]


def write_reference(network: nn.Module, file: Path) -> float:
    """Write mean and covariance (N - 1) of the test split's features as npz; return the accuracy there."""
    images, labels = fashion_mnist.load("test")
    rows, logits = outputs(network, images, "features", "logits")
    features = rows.double().numpy()
    covariance = np.cov(features, rowvar=False)
    write_arrays(file, {"mu": features.mean(0), "sigma": covariance, "n": np.array(len(images))})
    return (logits.argmax(1) == labels).double().mean().item()


def write_real(file: Path) -> None:
    """Write the first images of the test split in ADM's layout: npz with `arr_0` uint8 [N, H, W, C]."""
    images, _ = fashion_mnist.load("test")
    pixels = images[:REAL].permute(0, 2, 3, 1).contiguous().numpy()
    write_arrays(file, {"arr_0": pixels}, compressed=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the network; the exit code."""
    parser = training_command.parser(
        "train_evaluator", __doc__, "folder of the finished network", work="results/runs/train_evaluator"
    )
    parser.add_argument("--real", type=Path, required=True, help="npz of the real images")
    parser.add_argument("--steps", type=int, default=4000, help=f"optimiser steps of {BATCH} images")
    return training_command.main(parser, _run, arguments)


def _run(options: argparse.Namespace) -> None:
    images, labels = fashion_mnist.load("train")
    held_out, held_labels = images[-HELD_OUT:], labels[-HELD_OUT:]

    def loss(network: nn.Module, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(images) - HELD_OUT, (BATCH,), generator=generator)
        logits = network(augment(images[rows], generator))["logits"]
        return nn.functional.cross_entropy(logits, labels[rows], label_smoothing=0.05)

    def validate(network: nn.Module) -> float:
        (logits,) = outputs(network, held_out, "logits")
        return (logits.argmax(1) != held_labels).double().mean().item()

    torch.manual_seed(1)
    recipe = Recipe(steps=options.steps, lr=2e-3, weight_decay=0.02, ema=0.998)
    network = train(Evaluator(), loss, validate, recipe, options.work)
    write_tensors(network.state_dict(), options.out / "model.safetensors")
    write_real(options.real)
    accuracy = write_reference(network, options.out / "reference.npz")
    print(json.dumps({"test_accuracy": accuracy}))


if __name__ == "__main__":
    sys.exit(main())
