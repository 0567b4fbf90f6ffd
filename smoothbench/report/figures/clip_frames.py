"""Clips of frames as files, and which of them and of their frames are shown."""

from collections.abc import Sequence
from itertools import accumulate, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageSequence

SUFFIX = ".webp"
POLICIES = 10  # that a picture compares, at most
FRAMES = 8  # of a clip, at most

Film = NDArray[np.uint8]  # RGB [frames, height, width, 3]
Previewed = list[tuple[pd.DataFrame, list[Path]]]  # points that share samples, and their files


def spread(previewed: Previewed) -> Previewed:
    """Order points, the reference first; of many, choose a spread over families and costs.

    The families take turns: each shows its point nearest to half the reference's MACs, where policies can be
    compared, then its cheapest, where they fail, and so on upwards.
    """
    first = [each for each in previewed if is_reference(each[0])]
    queues: dict[str, list[int]] = {}
    for place, (part, _) in enumerate(previewed):
        if not is_reference(part):
            queues.setdefault(str(part["family"].iloc[0]), []).append(place)
    shares = [float(part["share"].fillna(1).iloc[0]) for part, _ in previewed]
    turns = []
    for queue in queues.values():
        middle = min(queue, key=lambda place: abs(shares[place] - 0.5))
        turns.append([middle, *sorted(set(queue) - {middle}, key=lambda place: shares[place])])
    order = [place for turn in zip_longest(*turns) for place in turn if place is not None]
    return first + [previewed[place] for place in sorted(order[: POLICIES - len(first)])]


def spaced(film: Sequence[Any] | NDArray[Any]) -> Any:
    """Choose evenly spaced frames, or what belongs to them, from the first: at most FRAMES."""
    return film[:: -(-len(film) // FRAMES)]


def read_film(path: Path) -> tuple[Film, list[float]]:
    """Read the frames of a clip and the second at which each starts; ValueError where it cannot be read."""
    frames, durations = [], []
    try:
        with Image.open(path, formats=["webp"]) as file:
            for frame in ImageSequence.Iterator(file):
                frames.append(np.asarray(frame.convert("RGB")))
                durations.append(float(frame.info.get("duration", 0)) / 1000)
    except (OSError, SyntaxError, EOFError):
        raise ValueError(f"{path} is no WebP file, or a damaged one: run the experiment again") from None
    return np.stack(frames), list(accumulate(durations[:-1], initial=0.0))


def is_reference(part: pd.DataFrame) -> bool:
    """Say whether these points share the reference's samples."""
    return bool(part["reference"].astype(bool).any())
