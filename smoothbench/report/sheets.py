"""The same seeds from every policy, side by side."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from smoothbench.report.style import DPI, INK, MUTED, new_figure, styled

TILE = 104  # pixels aimed at: small images are enlarged by a whole factor, large ones reduced
GAP = 5
LETTER = 9.6  # pixels of a letter in the labels, about
HEAD, EDGE = 96, 16


def contact_sheet(frame: pd.DataFrame, previews: str | Path) -> Figure:
    """Policies as rows, seeds across, from `previews/<sample_id>/<seed>.png`.

    Points that share samples share a row; a seed that a point lacks stays blank.
    ValueError if there is no preview image.
    """
    rows = _distinct(frame, Path(previews))
    files = [sorted((Path(previews) / row["sample_id"].iloc[0]).glob("*.png")) for row in rows]
    seeds = sorted({path.stem for paths in files for path in paths})
    if not seeds:
        raise ValueError(f"no preview image in {previews}: run the experiment first")
    tiles = {path: _tile(path) for paths in files for path in paths}
    height, width, _ = next(iter(tiles.values())).shape
    strips = [
        _strip({path.stem: tiles[path] for path in paths}, seeds, (height, width, 3)) for paths in files
    ]
    with styled():
        return _compose(frame, rows, strips, seeds)


def _distinct(frame: pd.DataFrame, previews: Path) -> list[pd.DataFrame]:
    """Rows of each set of samples that has previews, in the experiment's order."""
    groups = [part for _, part in frame.groupby("sample_id", sort=False)]
    return [part for part in groups if any((previews / part["sample_id"].iloc[0]).glob("*.png"))]


def _tile(path: Path) -> NDArray[np.uint8]:
    """An image as uint8 [height, width, 3]; its longer side is about TILE pixels."""
    with Image.open(path) as file:
        image = file.convert("RGB")
        longer = max(image.size)
        if longer > TILE:
            return np.asarray(
                image.resize([side * TILE // longer for side in image.size], Image.Resampling.LANCZOS)
            )
        pixels = np.asarray(image)
    factor = max(TILE // longer, 1)
    return pixels.repeat(factor, 0).repeat(factor, 1)


def _strip(
    tiles: dict[str, NDArray[np.uint8]], seeds: list[str], shape: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Tiles of one row with white gaps between, uint8 [height, width, 3]."""
    height, width, _ = shape
    strip = np.full((height, len(seeds) * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for position, seed in enumerate(seeds):
        start = position * (width + GAP)
        strip[:, start : start + width] = tiles.get(seed, np.uint8(236))
    return strip


def _compose(
    frame: pd.DataFrame, rows: list[pd.DataFrame], strips: list[NDArray[np.uint8]], seeds: list[str]
) -> Figure:
    """All rows on one page, one image pixel on one pixel of the page."""
    height, width, _ = strips[0].shape
    labels = round(LETTER * max(len(label) + 4 for part in rows for label in part["label"])) + EDGE
    across, down = labels + width + EDGE, HEAD + len(rows) * (height + GAP) + EDGE
    figure = new_figure(across / DPI, down / DPI)
    first = frame.iloc[0]
    title = f"{first['model']}, {first['experiment']}: the same seeds from every policy"
    figure.text(EDGE / across, 1 - EDGE / down, title, fontsize=10.5, fontweight="bold", va="top", color=INK)
    for i, seed in enumerate(seeds):
        centre = labels + (i + 0.5) * (width + GAP) / len(seeds)
        figure.text(
            centre / across, 1 - (HEAD - 8) / down, f"seed {int(seed)}", fontsize=7, ha="center", color=MUTED
        )
    for i, (part, strip) in enumerate(zip(rows, strips, strict=True)):
        bottom = down - HEAD - (i + 1) * (height + GAP) + GAP
        axes = figure.add_axes((labels / across, bottom / down, width / across, height / down))
        axes.imshow(strip, interpolation="none", aspect="auto")
        axes.set_axis_off()
        _name(figure, part, (labels - 14) / across, (bottom + height / 2) / down)
    return figure


def _name(figure: Figure, part: pd.DataFrame, x: float, y: float) -> None:
    names = list(dict.fromkeys(part["label"]))
    figure.text(x, y, "\n= ".join(names), fontsize=7.6, ha="right", va="bottom", color=INK, linespacing=1.15)
    share = part["share"].iloc[0]
    if not math.isnan(share):
        figure.text(
            x,
            y - 4 / figure.bbox.height,
            f"{100 * share:.0f} % of MACs",
            fontsize=6.6,
            ha="right",
            va="top",
            color=MUTED,
        )
