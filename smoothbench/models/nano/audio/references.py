"""Write the reference statistics of the audio metrics, from rendered clips that no network was trained on.

    python -m smoothbench.models.nano.audio.references --corpus results/runs/audio/corpus \\
        --out smoothbench/models/nano/audio/evaluators

`reference.npz` holds mean and covariance (N - 1) of the tagger's features over the clips of the seen
sounds: of clips (`mu`, `sigma`, `n`) and of all their windows (`mu_w`, `sigma_w`). `tags.npz` holds the
tagger's logits of each sound, seen or not, averaged over its clips: `captions` [147], `logits` [147, 324].
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from smoothbench.models.base.prompts import Prompts
from smoothbench.models.nano import training_command
from smoothbench.models.nano.audio import corpus
from smoothbench.models.nano.audio.files import embedded
from smoothbench.models.nano.audio.grammar import Sound
from smoothbench.models.nano.audio.tagger import load_tagger
from smoothbench.models.nano.files import write_arrays

TAGS = "evaluators/tags.npz"


def reference_logits(prompts: Prompts, file: str = TAGS) -> Tensor:
    """Read the tagger's logits on rendered clips of each prompt, float32 [P, 324].

    Raises ValueError, naming the prompt, where no clip was rendered of it.
    """
    with np.load(embedded(file), allow_pickle=False) as archive:
        place = {caption: row for row, caption in enumerate(archive["captions"].tolist())}
        logits = torch.from_numpy(archive["logits"]).float()
    if unknown := [text for text in prompts.texts if text not in place]:
        raise ValueError(
            f"caption {unknown[0]!r} is not of the grammar: no reference clip was rendered of it"
        )
    return logits[[place[text] for text in prompts.texts]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the statistics and the logits; the exit code."""
    parser = training_command.parser("audio.references", __doc__, "folder with tagger.safetensors")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the rendered clips")
    return training_command.main(parser, _run, arguments)


def _run(options: argparse.Namespace) -> None:
    tagger = load_tagger(options.out.absolute() / "tagger.safetensors")
    clips = corpus.load(options.corpus, "reference")
    with torch.inference_mode():
        outputs = [tagger(part[:, None]) for part in tqdm(clips.audio.split(64), desc="reference")]
    outputs_of_clips = {
        name: torch.cat([output[name] for output in outputs]).double() for name in ("windows", "logits")
    }
    sounds = [Sound(*labels) for labels in clips.labels.tolist()]
    was_trained_on = torch.tensor([not sound.held_out for sound in sounds])
    write_statistics(outputs_of_clips["windows"][was_trained_on], options.out / "reference.npz")
    write_tags([sound.caption for sound in sounds], outputs_of_clips["logits"], options.out / "tags.npz")


def write_statistics(windows: Tensor, file: Path) -> None:
    """Write the moments of clips' mean features, and those of all windows [N, 3, 64]."""
    arrays: dict[str, np.ndarray] = {"n": np.array(len(windows))}
    for suffix, rows in (("", windows.mean(1).numpy()), ("_w", windows.flatten(0, 1).numpy())):
        arrays |= {f"mu{suffix}": rows.mean(0), f"sigma{suffix}": np.cov(rows, rowvar=False)}
    write_arrays(file, arrays)


def write_tags(captions: list[str], logits: Tensor, file: Path) -> None:
    """Write the mean logits of the clips of each caption, in half precision."""
    names = sorted(set(captions))
    rows = [logits[[caption == name for caption in captions]].mean(0).numpy() for name in names]
    logits_of_names = np.stack(rows).astype(np.float16)
    write_arrays(file, {"captions": np.array(names), "logits": logits_of_names}, compressed=True)


if __name__ == "__main__":
    sys.exit(main())
