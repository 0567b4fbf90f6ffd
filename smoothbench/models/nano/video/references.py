"""Write what the video metrics hold samples against, from clips that no network was trained on.

    python -m smoothbench.models.nano.video.references --out smoothbench/models/nano/video/evaluators

`reference.npz` holds mean and covariance (N - 1) of the classifier's features over drawn clips of the seen
scenes that captions ask for, with sprites of Fashion-MNIST's test split: `mu`, `sigma`, `n`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from smoothbench.models.nano.video.classifier import load_classifier
from smoothbench.models.nano.video.corpus import Sprites, reference_clips

PART = 64  # clips at a time


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder with classifier.safetensors")
    args = parser.parse_args()

    classifier = load_classifier(args.out.absolute() / "classifier.safetensors")
    sprites = Sprites("test")
    clips = [clip for clip in reference_clips() if clip.scene.asked and not clip.scene.held_out]
    parts = tqdm([clips[i : i + PART] for i in range(0, len(clips), PART)], desc="reference")
    with torch.inference_mode():
        rows = torch.cat([classifier(sprites.draw(part))["features"] for part in parts]).double().numpy()
    np.savez(
        args.out / "reference.npz", n=np.array(len(rows)), mu=rows.mean(0), sigma=np.cov(rows, rowvar=False)
    )


if __name__ == "__main__":
    main()
