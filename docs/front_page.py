"""Draw the README's picture from the published records: python -m docs.front_page

Two panels over the same cost axis: quality (`fd_nano`, difference to no cache) and fidelity (PSNR to the uncached
samples). The numbers drawn are kept in the PNG as well, so that a test can compare them with the records.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from smoothbench.report.figures.style import BASELINE, COLOURS, INK, MUTED, new_figure, styled
from smoothbench.results import load

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "results" / "dit_ddim"
PICTURE = ROOT / "docs" / "front_page.png"
QUALITY, FIDELITY = "fd_nano@2048", "psnr@2048"
SIZE, DPI = (8.0, 3.35), 200  # inches: 800 pixels wide at the 100 dots an inch that its letters are made for
Place = tuple[tuple[float, float], tuple[tuple[float, float], tuple[float, float]] | None]  # data coordinates


@dataclass(frozen=True)
class Line:
    """One family of points: the beginning of their names, and how it looks.

    `places` are where its label begins, and the ends of a thin line from it to the points, for each panel.
    """

    names: str
    label: str
    colour: str
    marker: str
    places: tuple[Place, Place]


LINES = (
    Line("fewer-", "fewer steps", BASELINE, "o", (((23, 0.385), None), ((19.5, 38.6), None))),
    Line(
        "fora-orientation=mirrored",
        "FORA",
        COLOURS[0],
        "s",
        (((18, 0.13), None), ((20, 24.2), ((24, 26.8), (29, 29.2)))),
    ),
    Line("smoothcache-", "SmoothCache", COLOURS[1], "^", (((31, -0.085), None), ((67, 33.6), None))),
    Line(
        "l2c-",
        "Learning-to-Cache",
        COLOURS[2],
        "D",
        (((61, -0.07), None), ((51, 51.5), ((59, 51.1), (74.4, 45.6)))),
    ),
    Line(
        "fora_taylor",
        "FORA + prediction",
        COLOURS[3],
        "v",
        (((44, 0.185), ((44, 0.193), (37.6, 0.05))), ((20, 46.5), ((24, 46.1), (36.8, 41.9)))),
    ),
)
SCORES = MappingProxyType(
    {QUALITY: (f"{QUALITY}.delta", f"{QUALITY}.delta.low", f"{QUALITY}.delta.high"),
     FIDELITY: (FIDELITY, f"{FIDELITY}.low", f"{FIDELITY}.high")}
)  # fmt: skip
Points = dict[str, dict[str, list[list[float]]]]  # score, family: rows of share (%), value, low, high


def points(folder: Path = RECORDS) -> Points:
    """The numbers that the picture shows, read from the records of `folder` and rounded to five digits."""
    frame = load(folder).frame.sort_values("share")
    return {score: {line.label: _family(frame, line, SCORES[score]) for line in LINES} for score in SCORES}


def _family(frame: pd.DataFrame, line: Line, columns: tuple[str, str, str]) -> list[list[float]]:
    family = frame[frame["name"].str.startswith(line.names)]
    table = family[["share", *columns]].to_numpy(dtype=float) * [100, 1, 1, 1]
    return [[float(f"{x:.5g}") for x in row] for row in table]


def draw(numbers: Points) -> Figure:
    """Both panels, each family with its name beside its points."""
    with styled():
        figure = new_figure(*SIZE)
        left, right = figure.subplots(1, 2)
        figure.subplots_adjust(left=0.065, right=0.985, top=0.83, bottom=0.15, wspace=0.16)
        for i, (axes, score) in enumerate(zip((left, right), (QUALITY, FIDELITY), strict=True)):
            for line in LINES:
                _draw_family(axes, line, numbers[score][line.label], line.places[i])
            axes.set_xlim(15, 100)
            axes.tick_params(labelsize=9)
            axes.set_xlabel("multiply-accumulates, % of no cache (left: cheaper)", fontsize=9)
        left.axhline(0, color=MUTED, linewidth=1, zorder=1)
        left.text(99, 0.004, "no cache", color=MUTED, fontsize=8.5, ha="right", va="bottom")
        left.set_ylim(-0.12, 0.47)
        right.set_ylim(22, 62)
        _title(left, "Quality: fd_nano, difference to no cache", "lower is better")
        _title(right, "Fidelity: PSNR to no cache (dB)", "higher is better")
    return figure


def _title(axes: Axes, text: str, direction: str) -> None:
    axes.set_title(text, fontsize=10, pad=19, color=INK)
    axes.text(0, 1.04, direction, transform=axes.transAxes, fontsize=9, color=MUTED)


def _draw_family(axes: Axes, line: Line, rows: list[list[float]], place: Place) -> None:
    x, y, low, high = zip(*rows, strict=True)
    below, above = ([abs(a - b) for a, b in zip(y, end, strict=True)] for end in (low, high))
    axes.errorbar(
        x, y, yerr=(below, above), color=line.colour, marker=line.marker, markersize=5, linewidth=1.3,
        elinewidth=0.9, markeredgecolor="white", markeredgewidth=0.6, zorder=3,
    )  # fmt: skip
    (left, base), leader = place
    axes.text(left, base, line.label, color=line.colour, fontsize=9.5, fontweight="bold", zorder=5)
    if leader:
        axes.plot(*zip(*leader, strict=True), color=line.colour, linewidth=0.7, zorder=2)


def write(path: Path = PICTURE) -> Path:
    """Draw the picture into a PNG of 64 colours, with its numbers as text beside the pixels."""
    numbers, pixels, texts = points(), io.BytesIO(), PngInfo()
    with styled():
        draw(numbers).savefig(pixels, format="png", dpi=DPI)
    texts.add_itxt("points", json.dumps(numbers))
    picture = Image.open(pixels).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    picture.save(path, "png", optimize=True, pnginfo=texts)
    return path


def drawn_points(path: Path = PICTURE) -> Points:
    """The numbers that a picture was drawn from, as it holds them itself."""
    with Image.open(path) as picture:
        numbers: Points = json.loads(picture.info.get("points", "{}"))
    return numbers


if __name__ == "__main__":
    print(write())
