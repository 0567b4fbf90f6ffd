"""Train an evaluation network for nano audio: the tagger, or the towers for captions and clips.

    python -m smoothbench.models.nano.audio.train_evaluators tagger --corpus results/runs/audio/corpus \\
        --out smoothbench/models/nano/audio/evaluators
    python -m smoothbench.models.nano.audio.train_evaluators clap ...

Goes on where it stopped. Held-out combinations are in the test clips alone; the last training clips
choose the best weights.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from smoothbench.models.nano import training_command
from smoothbench.models.nano.audio import corpus
from smoothbench.models.nano.audio.clap import ContrastiveTowers
from smoothbench.models.nano.audio.conditioner import VOCABULARY
from smoothbench.models.nano.audio.grammar import Sound
from smoothbench.models.nano.audio.spectrogram import log_mel
from smoothbench.models.nano.audio.tagger import ATTRIBUTES, Tagger
from smoothbench.models.nano.files import save
from smoothbench.models.nano.training import Recipe, train

BATCH: Final = 64
HELD_OUT: Final = 1024


class Examples(NamedTuple):
    """Spectrograms [N, 80, 128] (float16), labels [N, 3], words [N, 16]."""

    mel: Tensor
    labels: Tensor
    words: Tensor

    def at(self, where: Any) -> "Examples":
        return Examples(*(each[where] for each in self))


def load(folder: Path, split: str) -> Examples:
    """Load a rendered split and compute its spectrograms."""
    clips = corpus.load(folder, split)
    parts = tqdm(clips.audio.split(100), desc=f"spectrograms: {split}")
    words = VOCABULARY.tokenize([Sound(*labels).caption for labels in clips.labels.tolist()])
    return Examples(torch.cat([log_mel(part).half() for part in parts]), clips.labels, words)


def augment(mel: Tensor, generator: torch.Generator) -> Tensor:
    """Make spectrograms louder or softer, tilted, and noisy: nothing that captions speak of."""
    mel = mel.float()
    gain, tilt, floor = torch.rand(3, len(mel), 1, 1, generator=generator)
    slope = torch.linspace(-1, 1, mel.shape[1])[:, None]
    noise = torch.randn(mel.shape, generator=generator) * 0.1 - 1 + 0.5 * floor**3
    return torch.maximum(mel + (gain - 0.5) * 0.4 + (tilt - 0.5) * 0.3 * slope, noise).clamp(min=-1)


def tagging(network: Any, examples: Examples, mel: Tensor) -> Tensor:
    """Return the cross-entropy of the three attributes, summed."""
    tags, columns = network.tag(mel), examples.labels.unbind(1)
    entropies = (
        nn.functional.cross_entropy(tags[name], labels, label_smoothing=0.05)
        for name, labels in zip(ATTRIBUTES, columns, strict=True)
    )
    return torch.stack(list(entropies)).sum()


def contrast(towers: Any, examples: Examples, mel: Tensor) -> Tensor:
    """Return the symmetric cross-entropy over a batch, in which clips of one caption share it."""
    scores = towers.sharpness.exp() * towers.of_mel(mel) @ towers.of_words(examples.words).T
    same = (examples.labels[:, None] == examples.labels[None]).all(2).float()
    target = same / same.sum(1, keepdim=True)
    entropy = nn.functional.cross_entropy
    return (entropy(scores, target) + entropy(scores.T, target)) / 2


@torch.inference_mode()
def tagging_accuracy(network: Any, examples: Examples) -> dict[str, float]:
    """Return the share of clips whose attribute is recognised, for each attribute and for all three."""
    parts = [network.tag(mel.float()) for mel in examples.mel.split(250)]
    predicted = [torch.cat([part[name] for part in parts]).argmax(1) for name in ATTRIBUTES]
    right = torch.stack(predicted, 1) == examples.labels
    shares = dict(zip(ATTRIBUTES, right.double().mean(0).tolist(), strict=True))
    return shares | {"all": right.all(1).double().mean().item()}


@torch.inference_mode()
def retrieval(towers: Any, examples: Examples) -> dict[str, float]:
    """Return the share of clips whose own caption is nearest, and the mean cosine to it and to the others."""
    labels, place = examples.labels.unique(dim=0, return_inverse=True)
    words = towers.of_words(VOCABULARY.tokenize([Sound(*each).caption for each in labels.tolist()]))
    cosine = torch.cat([towers.of_mel(mel.float()) for mel in examples.mel.split(250)]) @ words.T
    own_cosine = cosine.gather(1, place[:, None])
    others = (cosine.sum() - own_cosine.sum()) / (cosine.numel() - own_cosine.numel())
    nearest = (cosine.argmax(1) == place).double().mean().item()
    return {"nearest": nearest, "own": own_cosine.mean().item(), "others": others.item()}


Loss = Callable[[Any, Examples, Tensor], Tensor]
KINDS: Final[dict[str, tuple[Callable[[], nn.Module], Loss, Callable[[Any, Examples], dict[str, float]]]]] = {
    "tagger": (Tagger, tagging, tagging_accuracy),
    "clap": (ContrastiveTowers, contrast, retrieval),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train one of the networks; the exit code."""
    parser = training_command.parser(
        "audio.train_evaluators",
        __doc__,
        "folder of the finished network",
        work="results/runs/audio/train_evaluators",
    )
    parser.add_argument("kind", choices=KINDS, help="which network")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the rendered clips")
    parser.add_argument("--steps", type=int, default=1000, help=f"optimiser steps of {BATCH} clips")
    return training_command.main(parser, _run, arguments)


def _run(options: argparse.Namespace) -> None:
    network, measure, accuracy = KINDS[options.kind]
    examples = load(options.corpus, "train")
    held_out, examples = examples.at(slice(-HELD_OUT, None)), examples.at(slice(-HELD_OUT))

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        batch = examples.at(torch.randint(len(examples.mel), (BATCH,), generator=generator))
        return measure(model, batch, augment(batch.mel, generator))

    @torch.inference_mode()
    def validate(model: nn.Module) -> float:
        return measure(model, held_out, held_out.mel.float()).item()

    torch.manual_seed(2)
    recipe = Recipe(steps=options.steps, lr=2e-3, weight_decay=0.02, warmup=100, ema=0.99, look_every=100)
    faster: nn.Module = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = train(faster, loss, validate, recipe, options.work / options.kind)
    save(trained, options.out / f"{options.kind}.safetensors")
    test = load(options.corpus, "test")
    unseen = torch.tensor([Sound(*labels).held_out for labels in test.labels.tolist()])
    print(
        json.dumps(
            {"test": accuracy(trained, test.at(~unseen)), "held out": accuracy(trained, test.at(unseen))}
        )
    )


if __name__ == "__main__":
    sys.exit(main())
