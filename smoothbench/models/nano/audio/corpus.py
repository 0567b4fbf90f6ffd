"""Render the captioned clips that the networks of this folder were trained on.

    python -m smoothbench.models.nano.audio.corpus --out results/runs/audio/corpus

Needs the Debian packages fluidsynth and fluid-soundfont-gm (FluidR3, MIT). The same seeds give the
same scores; the same fluidsynth renders them to the same samples. Goes on where it stopped.
"""

import argparse
import subprocess
import sys
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from smoothbench.models.nano import training_command
from smoothbench.models.nano.audio.grammar import Sound, sounds
from smoothbench.models.nano.audio.midi import Clip, midi_file
from smoothbench.models.nano.audio.spectrogram import RATE, SAMPLES
from smoothbench.models.nano.files import write_arrays

SOUNDFONT: Final = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
SLOT: Final = 2.2  # seconds between the starts of two clips
FADE: Final = 320  # samples: 20 ms
LONGEST: Final = 2.0  # seconds
PEAK: Final = 0.7
PART: Final = 500  # clips a process of fluidsynth
TRAIN_SEED, TEST_SEED, REFERENCE_SEED = 0, 500_000_000, 600_000_000
EACH: Final = 8  # test and reference clips of each sound, held out or not


class Corpus(NamedTuple):
    """Rendered clips int16 [N, samples], their labels [N, 3] (instrument, register, pattern) and seconds [N]."""

    audio: Tensor
    labels: Tensor
    seconds: Tensor


def train_clips(count: int) -> list[Clip]:
    """Return so many clips of the sounds that are not held out, in turn."""
    trained_on = [sound for sound in sounds() if not sound.held_out]
    return [_clip(trained_on[i % len(trained_on)], TRAIN_SEED + i) for i in range(count)]


def test_clips() -> list[Clip]:
    """Return eight clips of every sound, held-out ones included."""
    return [_clip(sound, TEST_SEED + i) for i, sound in enumerate(sounds() * EACH)]


def reference_clips() -> list[Clip]:
    """Return eight clips of every sound, all as long as samples are by default."""
    return [Clip(sound, LONGEST, REFERENCE_SEED + i) for i, sound in enumerate(sounds() * EACH)]


def _clip(sound: Sound, seed: int) -> Clip:
    """Half of the clips last 2 s, the others 1 to 2 s, in steps of a twentieth."""
    length = np.random.default_rng([seed, 1]).integers(20, 61)
    return Clip(sound, min(LONGEST, float(length) / 20), seed)


def render(clips: Sequence[Clip], soundfont: str) -> np.ndarray:
    """Render clips as int16 [N, samples], mono, silent after their seconds, all with the same peak."""
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "score.mid", Path(folder) / "sound.wav"
        score.write_bytes(midi_file(clips, SLOT))
        options = ["-ni", "-q", "-R", "0", "-C", "0", "-g", "0.4", "-r", str(RATE), "-F", str(sound)]
        subprocess.run(["fluidsynth", *options, soundfont, str(score)], check=True, capture_output=True)
        with wave.open(str(sound)) as file:
            stereo = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    mono = stereo.astype(np.float32).mean(1) / 32768
    starts = (round(i * SLOT * RATE) for i in range(len(clips)))
    return np.stack(
        [_finished(mono[s : s + SAMPLES], clip.seconds) for s, clip in zip(starts, clips, strict=True)]
    )


def _finished(audio: np.ndarray, seconds: float) -> np.ndarray:
    end = min(round(seconds * RATE), SAMPLES)
    envelope = np.zeros(SAMPLES, np.float32)
    envelope[:end] = 1
    envelope[end - FADE : end] = np.linspace(1, 0, FADE)
    audio = audio * envelope
    return np.round(audio * (PEAK * 32767 / np.abs(audio).max())).astype(np.int16)


def load(folder: Path, split: str) -> Corpus:
    """Load the split `train`, `test` or `reference`, as far as it is rendered.

    Raises ValueError where nothing is.
    """
    parts = sorted(folder.glob(f"{split}-*.npz"))
    if not parts:
        raise ValueError(
            f"{folder} holds no clips: run python -m smoothbench.models.nano.audio.corpus --out {folder}"
        )
    rows = [dict(np.load(part, allow_pickle=False)) for part in parts]
    return Corpus(*(torch.from_numpy(np.concatenate([row[name] for row in rows])) for name in Corpus._fields))


def write(clips: Sequence[Clip], file: Path, soundfont: str) -> None:
    """Render one part and write it as npz."""
    labels = [(c.sound.instrument, c.sound.register, c.sound.pattern) for c in clips]
    seconds = np.array([clip.seconds for clip in clips], np.float32)
    audio = render(clips, soundfont)
    write_arrays(file, {"audio": audio, "labels": np.array(labels), "seconds": seconds})


def main(arguments: Sequence[str] | None = None) -> int:
    """Render the clips; the exit code."""
    parser = training_command.parser("audio.corpus", __doc__, "folder of the clips")
    parser.add_argument("--clips", type=int, default=24_000, help="clips to train on")
    parser.add_argument("--soundfont", default=SOUNDFONT, help="FluidR3_GM.sf2")
    return training_command.main(parser, _run, arguments)


def _run(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    splits = {"train": train_clips(options.clips), "test": test_clips(), "reference": reference_clips()}
    for split, clips in splits.items():
        for first in tqdm(range(0, len(clips), PART), desc=split):
            file = options.out / f"{split}-{first:06d}.npz"
            if not file.exists():
                write(clips[first : first + PART], file, options.soundfont)


if __name__ == "__main__":
    sys.exit(main())
