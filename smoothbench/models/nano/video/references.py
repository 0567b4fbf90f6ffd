"""Write what the video metrics hold samples against, from clips that no network was trained on.

    python -m smoothbench.models.nano.video.references --out smoothbench/models/nano/video/evaluators

`reference.npz` holds mean and covariance (N - 1) of the classifier's features over drawn clips of the seen
scenes that captions ask for, with sprites of Fashion-MNIST's test split: `mu`, `sigma`, `n`.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm

from smoothbench.models.nano import training_command
from smoothbench.models.nano.files import write_arrays
from smoothbench.models.nano.video.classifier import load_classifier
from smoothbench.models.nano.video.corpus import Sprites, reference_clips

PART = 64  # clips at a time


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the statistics; the exit code."""
    parser = training_command.parser("video.references", __doc__, "folder with classifier.safetensors")
    return training_command.main(parser, _run, arguments)


def _run(options: argparse.Namespace) -> None:
    classifier = load_classifier(options.out.absolute() / "classifier.safetensors")
    sprites = Sprites("test")
    clips = [clip for clip in reference_clips() if clip.scene.has_prompts and not clip.scene.held_out]
    parts = tqdm([clips[i : i + PART] for i in range(0, len(clips), PART)], desc="reference")
    with torch.inference_mode():
        rows = torch.cat([classifier(sprites.draw(part))["features"] for part in parts]).double().numpy()
    mean, covariance = rows.mean(0), np.cov(rows, rowvar=False)
    write_arrays(options.out / "reference.npz", {"n": np.array(len(rows)), "mu": mean, "sigma": covariance})


if __name__ == "__main__":
    sys.exit(main())
