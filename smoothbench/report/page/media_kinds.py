"""What a results folder holds, by the suffix of its previews, and how each kind of it is shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from smoothbench.report.figures import clip_frames
from smoothbench.report.figures.contact_sheet import contact_sheet, with_previews
from smoothbench.report.figures.filmstrips import filmstrips
from smoothbench.report.figures.spectrograms import RANGE, SEEDS, SUFFIX, loudest, spectrograms
from smoothbench.report.page import data_uris

Strip = Callable[[Sequence[Path]], str]
STRIP = 3  # clips in a strip
ACROSS = 128  # pixels on the page that small frames are enlarged to, about


@dataclass(frozen=True)
class Kind:
    """One kind of samples.

    `picture` is the name of the figure that `draw` makes of a frame and its previews; `strip` gives, for
    these, what makes a data URI of the previews of a set of samples, and `note` says what it shows; `player`
    is the element for one preview and its description, null where there is nothing to play; `played` and
    `published` count the previews of a set of samples on the page and in a published folder; `control` is
    an element above the players; for `few`, 256 colours do for the figure. A strip shows `in_strip` previews, beside
    each other (`across`) or below.
    """

    suffix: str
    picture: str
    draw: Callable[[pd.DataFrame, Path], Figure]
    strip: Callable[[pd.DataFrame, Path], Strip]
    note: str
    published: int
    player: Callable[[Path, str], str] | None = None
    played: int = 0
    control: str = ""
    few: bool = False
    in_strip: int = STRIP
    across: bool = True


def kinds_in(frame: pd.DataFrame, previews: Path) -> list[Kind]:
    """Return the kinds of which there are previews."""
    return [kind for kind in KINDS if with_previews(frame, previews, kind.suffix)]


def _images(frame: pd.DataFrame, previews: Path) -> Strip:
    return data_uris.strip


def _spectra(frame: pd.DataFrame, previews: Path) -> Strip:
    top = loudest(frame, previews)
    return lambda paths: data_uris.spectra(paths[:STRIP], top)


def _films(frame: pd.DataFrame, previews: Path) -> Strip:
    return lambda paths: data_uris.film(paths[:STRIP])


def _sound(path: Path, about: str) -> str:
    source = data_uris.clip(path, "audio/flac")
    return f'<audio controls preload="none" aria-label="{about}" src="{source}"></audio>'


def _animation(path: Path, about: str) -> str:
    """An animated image, small ones enlarged without smoothing."""
    with Image.open(path) as file:
        width, height = file.size
    factor = max(1, ACROSS // max(width, height))
    style = "clip pixels" if factor > 1 else "clip"
    size = f'width="{factor * width}" height="{factor * height}"'
    return f'<img class="{style}" {size} alt="{about}" src="{data_uris.clip(path, "image/webp")}">'


KINDS = (
    Kind(
        ".png",
        "contact_sheet",
        contact_sheet,
        _images,
        "The same seeds from every policy; points with the same samples share a strip.",
        published=data_uris.SEEDS,
        in_strip=data_uris.SEEDS,
    ),
    Kind(
        SUFFIX,
        "spectrograms",
        spectrograms,
        _spectra,
        "Log-mel spectrograms of the same seeds from every policy: time across, high tones above, "
        f"{RANGE:.0f} dB under the reference's loudest are black; points with the same samples share a strip.",
        published=SEEDS,
        player=_sound,
        played=3,
        few=True,
    ),
    Kind(
        clip_frames.SUFFIX,
        "filmstrips",
        filmstrips,
        _films,
        "The same seeds from every policy, time across; points with the same samples share a strip.",
        published=3,
        player=_animation,
        played=3,
        few=True,
        across=False,
        control='<button type="button" class="together" hidden>Start all together</button>',
    ),
)
