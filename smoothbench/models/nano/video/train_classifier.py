"""Train the evaluation network for nano video: the classifier of item, colour, motion and speed.

    python -m smoothbench.models.nano.video.train_classifier --out smoothbench/models/nano/video/evaluators

Goes on where it stopped. Held-out combinations are in the test clips alone, whose sprites are those of
Fashion-MNIST's test split; training clips from other seeds choose the best weights.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.models.nano import training_command
from smoothbench.models.nano.files import save
from smoothbench.models.nano.training import Recipe, train
from smoothbench.models.nano.video.classifier import Classifier
from smoothbench.models.nano.video.corpus import Clip, Sprites, test_clips, train_clips
from smoothbench.models.nano.video.grammar import ATTRIBUTES

BATCH: Final = 64
FIRST: Final = 200_000_000  # seeds of these clips
HELD_OUT: Final = 190_000_000


def labels(clips: list[Clip]) -> Tensor:
    """Return the classes of item, colour, motion and speed of clips, int64 [N, 4]."""
    return torch.tensor([clip.scene.labels for clip in clips])


def augment(clips: Tensor, generator: torch.Generator) -> Tensor:
    """Make clips lighter or darker, a little noisy, and half of them blurred: nothing that captions speak of."""
    x = clips.float() / 127.5 - 1
    size = (len(x), 1, 1, 1, 1)
    gain, strength, blurred = torch.rand(3, *size, generator=generator)
    soft = F.avg_pool2d(x.flatten(0, 1), 3, 1, 1, count_include_pad=False).view_as(x)
    x = torch.lerp(x, soft, (blurred - 0.5).clamp(min=0) * 1.6)
    noise = torch.randn(x.shape, generator=generator) * 0.15 * strength
    return ((x + 1) * (0.8 + 0.3 * gain) - 1 + noise).clamp(-1, 1)


def entropy(network: Any, clips: Tensor, classes: Tensor) -> Tensor:
    """Return the cross-entropy of the four attributes, summed, for clips float [N, 12, 3, 32, 32]."""
    outputs = network.classify(clips)
    attributes = zip(ATTRIBUTES, classes.unbind(1), strict=True)
    return torch.stack(
        [F.cross_entropy(outputs[name], column, label_smoothing=0.05) for name, column in attributes]
    ).sum()


@torch.inference_mode()
def agreement(network: Any, clips: Tensor, classes: Tensor) -> dict[str, float]:
    """Return the share of clips uint8 [N, 12, 3, 32, 32] whose attribute is recognised, for each and for all four."""
    outputs = [network(part) for part in clips.split(64)]
    predicted = [torch.cat([output[name] for output in outputs]).argmax(1) for name in ATTRIBUTES]
    right = torch.stack(predicted, 1) == classes
    shares = dict(zip(ATTRIBUTES, right.double().mean(0).tolist(), strict=True))
    return shares | {"all": right.all(1).double().mean().item()}


def tested(network: Any) -> dict[str, dict[str, float]]:
    """Measure the agreement on test clips of the seen scenes, and of the held-out ones."""
    clips = test_clips()
    drawn = Sprites("test").draw(clips)
    unseen = torch.tensor([clip.scene.held_out for clip in clips])
    classes = labels(clips)
    return {
        name: agreement(network, drawn[rows], classes[rows])
        for name, rows in (("seen", ~unseen), ("held out", unseen))
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the classifier; the exit code."""
    parser = training_command.parser(
        "video.train_classifier",
        __doc__,
        "folder of the finished network",
        work="results/runs/video/train_classifier",
    )
    parser.add_argument("--steps", type=int, default=2400, help=f"optimiser steps of {BATCH} clips")
    return training_command.main(parser, _run, arguments)


def _run(options: argparse.Namespace) -> None:
    sprites = Sprites("train")
    held_out = train_clips(HELD_OUT, 256)
    held_out_clips, held_out_labels = sprites.draw(held_out).float() / 127.5 - 1, labels(held_out)

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        clips = train_clips(FIRST + int(torch.randint(FIRST, (), generator=generator)), BATCH)
        return entropy(model, augment(sprites.draw(clips), generator), labels(clips))

    @torch.inference_mode()
    def validate(model: nn.Module) -> float:
        return entropy(model, held_out_clips, held_out_labels).item()

    torch.manual_seed(2)
    recipe = Recipe(options.steps, lr=2e-3, weight_decay=0.02, warmup=100, ema=0.99, look_every=100)
    faster: nn.Module = Classifier().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = train(faster, loss, validate, recipe, options.work)
    save(trained, options.out / "classifier.safetensors")
    print(json.dumps(tested(trained)))


if __name__ == "__main__":
    sys.exit(main())
