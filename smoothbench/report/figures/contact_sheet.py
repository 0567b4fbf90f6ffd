"""The same seeds from every policy, side by side."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from smoothbench.report.data.distinctions import picture_title
from smoothbench.report.figures.style import DPI, INK, MUTED, new_figure, styled

TILE = 104  # pixels aimed at: small images are enlarged by a whole factor, large ones reduced
GAP = 5
LETTER = 9.6  # pixels of a letter in the labels, about
LINE, TITLE = 18, 28  # pixels that a line above the tiles takes, and one more of the title
HEAD, EDGE = 96, 16
BLANK = 236  # grey of a tile that there is not
SHOWN = "the same seeds from every policy"

Tile = NDArray[np.uint8]  # RGB [height, width, 3]
Row = tuple[pd.DataFrame, dict[str, Tile]]  # the points that share samples, and their tiles by seed


def contact_sheet(frame: pd.DataFrame, previews: str | Path) -> Figure:
    """Draw previews, policies as rows, seeds across, from `previews/<sample_id>/<seed>.png`.

    Points that share samples share a row; a seed that a point lacks stays blank.
    ValueError if there is no preview image.
    """
    previewed = with_previews(frame, Path(previews), ".png")
    if not previewed:
        raise ValueError(f"no preview image in {previews}: run the experiment first")
    return sheet(frame, [(part, {path.stem: _tile(path) for path in paths}) for part, paths in previewed])


def with_previews(frame: pd.DataFrame, previews: Path, suffix: str) -> list[tuple[pd.DataFrame, list[Path]]]:
    """Find the points of each set of samples with preview files, and these files by seed, in the experiment's order."""
    groups = [part for _, part in frame.groupby("sample_id", sort=False)]
    files = [sorted((previews / part["sample_id"].iloc[0]).glob(f"*{suffix}")) for part in groups]
    return [(part, paths) for part, paths in zip(groups, files, strict=True) if paths]


def sheet(
    frame: pd.DataFrame, rows: Sequence[Row], what: str = SHOWN, right: int = EDGE, below: int = EDGE
) -> Figure:
    """Draw rows of tiles, uint8 RGB of one size, under their seeds; an axes for each, in pixels of the tiles.

    Args: what, as the title says it; right and below, pixels that stay free there.
    """
    seeds = sorted({seed for _, tiles in rows for seed in tiles})
    height, width, _ = next(iter(rows[0][1].values())).shape
    strips = [joined([tiles.get(seed) for seed in seeds], (height, width)) for _, tiles in rows]
    parts = [part for part, _ in rows]
    title = page_title(frame, what, label_width(parts) + strips[0].shape[1] + right)
    with styled():
        figure = _compose(parts, strips, seeds, right, below, TITLE * title.count("\n"))
        across, down = figure.bbox.size
        figure.text(
            EDGE / across, 1 - EDGE / down, title, fontsize=10.5, fontweight="bold", va="top", color=INK
        )
    return figure


def page_title(frame: pd.DataFrame, what: str, across: int) -> str:
    """Say what a page of samples shows, in lines that fit so many pixels."""
    title = f"{frame['model'].iloc[0]}, {frame['experiment'].iloc[0]}: {what}"
    return picture_title(frame, title, across / DPI, "model", "experiment")


def fitted(image: Image.Image, side: int = TILE) -> NDArray[Any]:
    """Scale an image so that its longer side is about `side`: enlarged by a whole factor, or reduced."""
    longer = max(image.size)
    if longer > side:
        size = [max(1, each * side // longer) for each in image.size]
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    factor = max(side // longer, 1)
    return np.asarray(image).repeat(factor, 0).repeat(factor, 1)


def joined(tiles: Sequence[Tile | None], shape: tuple[int, ...], gap: int = GAP) -> NDArray[np.uint8]:
    """Join tiles of one shape [height, width, 3] with white gaps between; None becomes a grey one."""
    height, width = shape[:2]
    row = np.full((height, len(tiles) * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for position, tile in enumerate(tiles):
        start = position * (width + gap)
        row[:, start : start + width] = np.uint8(BLANK) if tile is None else tile
    return row


def label_width(parts: Iterable[pd.DataFrame]) -> int:
    """Return the pixels that the names of rows need."""
    return round(LETTER * max(len(label) + 4 for part in parts for label in part["label"])) + EDGE


def captions(frame: pd.DataFrame) -> dict[int, str]:
    """Return the prompts of samples by seed; empty where no record tells."""
    return {seed: text for each in frame.get("captions", []) for seed, text in each.items()}


def _tile(path: Path) -> Tile:
    with Image.open(path) as file:
        return fitted(file.convert("RGB"))


def _compose(
    rows: list[pd.DataFrame],
    strips: list[NDArray[np.uint8]],
    seeds: list[str],
    right: int,
    below: int,
    above: int,
) -> Figure:
    """All rows on one page, one image pixel on one pixel of the page."""
    height, width, _ = strips[0].shape
    texts = _wrapped_captions(rows, seeds, width / len(seeds))
    labels, head = label_width(rows), HEAD + above + LINE * max(map(len, texts))
    across, down = labels + width + right, head + len(rows) * (height + GAP) + below
    figure = new_figure(across / DPI, down / DPI)
    for i, seed in enumerate(seeds):
        centre = labels + (i + 0.5) * (width + GAP) / len(seeds)
        text = "\n".join([*texts[i], f"seed {int(seed)}"])
        figure.text(centre / across, 1 - (head - 8) / down, text, fontsize=7, ha="center", color=MUTED)
    for i, (part, row) in enumerate(zip(rows, strips, strict=True)):
        bottom = down - head - (i + 1) * (height + GAP) + GAP
        axes = figure.add_axes((labels / across, bottom / down, width / across, height / down))
        axes.imshow(row, interpolation="none", aspect="auto")
        axes.set_axis_off()
        name_row(figure, part, (labels - 14) / across, (bottom + height / 2) / down)
    return figure


def _wrapped_captions(rows: list[pd.DataFrame], seeds: list[str], width: float) -> list[list[str]]:
    """What each seed was asked to be, in lines that fit into so many pixels; none where no record tells."""
    texts = {seed: text for part in rows for seed, text in captions(part).items()}
    return [textwrap.wrap(texts.get(int(seed), ""), round(width / LETTER)) for seed in seeds]


def name_row(figure: Figure, part: pd.DataFrame, x: float, y: float) -> None:
    """Write label and share of MACs, right-aligned at x and around y, both as shares of the figure."""
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
