"""Clips of the same seeds from several policies, as frames in time."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from metrics.video_distances import ClipPSNR
from smoothbench.report.figures.clip_frames import (
    SUFFIX,
    Film,
    Previewed,
    is_reference,
    read_film,
    spaced,
    spread,
)
from smoothbench.report.figures.contact_sheet import (
    EDGE,
    Tile,
    captions,
    fitted,
    joined,
    label_width,
    name_row,
    page_title,
    with_previews,
)
from smoothbench.report.figures.contact_sheet import TITLE as LINE
from smoothbench.report.figures.style import DPI, INK, MUTED, new_figure, styled

SEEDS = 3  # blocks, at most
SIDE = 80  # pixels of a tile aimed at: frames come in twos, so smaller than images
GAP = 3  # pixels between frames
HEAD, TITLE, TIMES = 54, 44, 20  # pixels above all, of a block's title, and of its times
BETWEEN, RIGHT = 30, 96  # pixels between a clip and its difference, and beside that
LETTER = 9.0  # pixels of a letter in a caption, about
SCALE = 240  # pixels of the scale, at most
COLOURS = "magma"


@dataclass(frozen=True)
class Strip:
    """A row: the points that share a clip, its frames, and how far they are from the uncached clip's."""

    part: pd.DataFrame
    frames: list[Tile]
    difference: list[NDArray[np.float32]]  # grey levels [height, width], none for the reference
    psnr: str


def filmstrips(frame: pd.DataFrame, previews: str | Path) -> Figure:
    """Draw a block for each of a few seeds: policies as rows, frames across, from `previews/<sample_id>/<seed>.webp`.

    Beside each clip its absolute difference to the reference's, the mean over the colours, on one scale for
    all; and the PSNR of the whole clip. The reference comes first, then a spread of the policies, see
    `spread`; of long clips evenly spaced frames are shown. ValueError if there is no clip, or one that
    cannot be read.
    """
    previewed = with_previews(frame, Path(previews), SUFFIX)
    if not previewed:
        raise ValueError(f"no preview clip in {previews}: run the experiment first")
    rows = spread(previewed)
    seeds = sorted({path.stem for _, paths in rows for path in paths})[:SEEDS]
    blocks = {seed: [_strip(part, paths, seed, rows) for part, paths in rows] for seed in seeds}
    shown = [(seed, [strip for strip in strips if strip]) for seed, strips in blocks.items()]
    with styled():
        return _compose(frame, shown, _times(rows[0][1][0]))


def _strip(part: pd.DataFrame, paths: list[Path], seed: str, rows: Previewed) -> Strip | None:
    """A row of a block; None where the point lacks the seed."""
    files = {path.stem: path for path in paths}
    if seed not in files:
        return None
    film, _ = read_film(files[seed])
    tiles = [fitted(Image.fromarray(each), SIDE) for each in spaced(film)]
    uncached = {path.stem: path for path in rows[0][1]}.get(seed) if is_reference(rows[0][0]) else None
    if uncached is None or is_reference(part):
        return Strip(part, tiles, [], "")
    baseline, _ = read_film(uncached)
    if baseline.shape != film.shape:
        raise ValueError(f"{files[seed]} has another shape than {uncached}: run the experiment again")
    gap = np.abs(spaced(film).astype(np.float32) - spaced(baseline)).mean(-1)
    return Strip(part, tiles, [fitted(Image.fromarray(each), SIDE) for each in gap], _psnr(film, baseline))


def _psnr(film: Film, baseline: Film) -> str:
    if np.array_equal(film, baseline):
        return "identical"
    pair = [torch.from_numpy(each).permute(0, 3, 1, 2)[None] for each in (film, baseline)]
    return f"{float(ClipPSNR().per_sample(*pair)):.1f} dB"


def _times(path: Path) -> list[str]:
    return [f"{second:.2f} s" for second in spaced(read_film(path)[1])]


def _compose(frame: pd.DataFrame, blocks: list[tuple[str, list[Strip]]], times: list[str]) -> Figure:
    """All blocks on one page, one image pixel on one pixel of the page."""
    strips = [strip for _, rows in blocks for strip in rows]
    height, width, _ = strips[0].frames[0].shape
    left, across = label_width([strip.part for strip in strips]), len(strips[0].frames) * (width + GAP) - GAP
    second, paired = left + across + BETWEEN, any(strip.difference for strip in strips)
    size = second + across + RIGHT if paired else left + across + EDGE
    title = page_title(frame, "the same seeds from several policies", size)
    head = HEAD + LINE * title.count("\n")
    down = head + len(blocks) * TITLE + len(strips) * (height + GAP) + TIMES + EDGE
    page = _Page((size, down))
    page.write(EDGE, EDGE, title, fontsize=10.5, fontweight="bold", va="top")
    top, texts, y = _top(strips), captions(frame), head
    for seed, rows in blocks:
        y += TITLE
        page.write(left, y - 9, _name(int(seed), texts, across), fontsize=8, fontweight="bold")
        for strip in rows:
            pixels = joined(strip.frames, (height, width), GAP)
            page.show(left, y, pixels)
            name_row(page.figure, strip.part, *page.place(left - 14, y + height / 2))
            if strip.difference:
                page.show(
                    second,
                    y,
                    joined([_coloured(each, top) for each in strip.difference], (height, width), GAP),
                )
                page.write(
                    second + across + 10, y + height / 2, strip.psnr, fontsize=7, color=MUTED, va="center"
                )
            y += height + GAP
    for start in [left, second] if paired else [left]:
        for i, time in enumerate(times):
            page.write(
                start + i * (width + GAP) + width / 2,
                y + 4,
                time,
                fontsize=6,
                color=MUTED,
                ha="center",
                va="top",
            )
    if paired:
        _draw_scale(page, second, head + TITLE, across, height, top)
    return page.figure


class _Page:
    """A figure in pixels, x to the right and y down from the top left corner."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size, self.figure = size, new_figure(size[0] / DPI, size[1] / DPI)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """As shares of the figure, y up."""
        return x / self.size[0], 1 - y / self.size[1]

    def write(self, x: float, y: float, text: str, **looks: Any) -> None:
        self.figure.text(*self.place(x, y), text, **{"color": INK, "va": "baseline"} | looks)

    def show(self, x: float, y: float, pixels: NDArray[Any]) -> Axes:
        """A picture with its upper left corner there; its axes are pixels."""
        height, width = pixels.shape[:2]
        corner = self.place(x, y + height)
        axes = self.figure.add_axes((*corner, width / self.size[0], height / self.size[1]))
        axes.imshow(pixels, interpolation="none", aspect="auto")
        axes.set_axis_off()
        return axes


def _name(seed: int, texts: dict[int, str], across: int) -> str:
    caption = textwrap.shorten(texts.get(seed, ""), max(20, round(across / LETTER)), placeholder=" ...")
    return f"seed {seed}: {caption}" if caption else f"seed {seed}"


def _top(strips: Sequence[Strip]) -> float:
    """Grey levels at the end of the scale: few pixels are further off."""
    maxima = [float(np.percentile(np.stack(strip.difference), 99.5)) for strip in strips if strip.difference]
    return 16.0 * math.ceil(max([1.0, *maxima]) / 16)  # the scale then names whole levels


def _coloured(difference: NDArray[np.float32], top: float) -> Tile:
    share = np.sqrt(np.clip(difference / top, 0, 1))
    return np.asarray(np.rint(255 * matplotlib.colormaps[COLOURS](share)[..., :3]), dtype=np.uint8)


def _draw_scale(page: _Page, x: int, y: int, across: int, height: int, top: float) -> None:
    """What the colours of the differences mean, where the reference has none."""
    page.write(x, y - 9, "absolute difference to the reference's clip", fontsize=8, fontweight="bold")
    page.write(x + across + 10, y + height / 2, "PSNR of\nthe clip", fontsize=6.5, color=MUTED, va="center")
    width = min(SCALE, across)
    levels = top * np.linspace(0, 1, width, dtype=np.float32) ** 2
    axes = page.show(x, y + height // 3, _coloured(levels[None].repeat(9, 0), top))
    axes.set_axis_on()
    axes.grid(False)
    axes.spines[:].set_visible(False)
    shares = np.linspace(0, 1, 5)
    axes.set(yticks=[], xticks=shares * (width - 1), xticklabels=[f"{top * each**2:.0f}" for each in shares])
    axes.tick_params(axis="x", labelsize=6, length=2, pad=1.5)
    page.write(x + width + 14, y + height // 3 + 9, "grey levels of 255", fontsize=6.5, color=MUTED)
