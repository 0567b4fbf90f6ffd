"""Pictures and clips as data URIs: small, and the same bytes for the same records."""

import base64
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from smoothbench.report.figures.clip_frames import read_film, spaced
from smoothbench.report.figures.few_colours import few_colours
from smoothbench.report.figures.schedule_raster import COMPUTED, REUSED
from smoothbench.report.figures.spectrograms import palette
from smoothbench.report.figures.spectrograms import tile as spectrum
from smoothbench.storage.record_parts import RecordedSchedule

SEEDS = 8  # previews in a strip
LARGEST = 96  # pixels of a preview's longer side; larger images are reduced and compressed
GAP = 1
QUALITY = 82


def raster(schedule: RecordedSchedule) -> str:
    """Draw a schedule with a pixel a decision, sites grouped by kind with a white line between, as a PNG."""
    kinds = list(dict.fromkeys(schedule.kinds))
    lines: list[list[int]] = []
    for kind in kinds:
        sites = [i for i, each in enumerate(schedule.kinds) if each == kind]
        lines += [[int(row[site] == "1") for row in schedule.rows] for site in sites]
        lines.append([2] * len(schedule.rows))
    image = Image.fromarray(np.array(lines[:-1], dtype=np.uint8)).convert("P")
    image.putpalette(
        [channel for each in (REUSED, COMPUTED, "#ffffff") for channel in ImageColor.getrgb(each)]
    )
    return _uri(image, "PNG", optimize=True, bits=2)


def strip(paths: Sequence[Path]) -> str:
    """Join the first images of a set of samples side by side."""
    return _page([[_tile(path) for path in paths[:SEEDS]]])


def sheet(paths: Sequence[Path]) -> str:
    """Join images side by side, as a WebP: without loss, unless they had to be reduced."""
    return _webp(_joined([[_tile(path) for path in paths]]))


def film(paths: Sequence[Path]) -> str:
    """Join clips below each other, time across, in evenly spaced frames."""
    return _page([[_reduced(Image.fromarray(each)) for each in spaced(read_film(path)[0])] for path in paths])


def spectra(paths: Sequence[Path], top: float) -> str:
    """Join the spectrograms of clips side by side, `top` decibels the brightest, as a PNG of few colours."""
    levels = [spectrum(path, top) for path in paths]
    gap = np.full((len(levels[0]), GAP), len(palette()), dtype=np.uint8)
    parts = [each for level in levels for each in (gap, level)]
    image = Image.fromarray(np.concatenate(parts[1:], axis=1)).convert("P")
    image.putpalette([*palette().ravel().tolist(), 255, 255, 255])
    return _uri(image, "PNG", optimize=True)


def clip(path: Path, kind: str) -> str:
    """Encode a file as it is; `kind` as browsers call it, audio/flac for instance."""
    return _data(kind, path.read_bytes())


def picture(path: Path) -> str:
    """Encode a drawn figure with few colours, as a PNG."""
    with Image.open(path) as file:
        if file.mode == "P" and file.format == "PNG":
            return _data("image/png", path.read_bytes())
        image = few_colours(file.convert("RGB"))
    return _uri(image, "PNG", optimize=True)


def digest(content: bytes) -> str:
    """Return a short name of some content."""
    return hashlib.sha256(content).hexdigest()[:12]


def _page(lines: Sequence[Sequence[Image.Image]]) -> str:
    """Lines of tiles with gaps between, as a picture."""
    page, reduced = _joined(lines)
    if reduced:  # noise that a PNG cannot compress
        return _uri(page, "JPEG", quality=QUALITY, optimize=True)
    return _uri(page, "PNG", optimize=True)


def _webp(joined: tuple[Image.Image, bool]) -> str:
    page, reduced = joined
    return _uri(page, "WEBP", lossless=not reduced, quality=QUALITY, method=4)


def _joined(lines: Sequence[Sequence[Image.Image]]) -> tuple[Image.Image, bool]:
    """Lines of tiles with gaps between, and whether the tiles were reduced."""
    tiles = [tile for line in lines for tile in line]
    width, height = max(tile.width for tile in tiles) + GAP, max(tile.height for tile in tiles) + GAP
    size = (max(map(len, lines)) * width - GAP, len(lines) * height - GAP)
    page = Image.new("L" if all(tile.mode == "L" for tile in tiles) else "RGB", size, "white")
    for down, line in enumerate(lines):
        for across, tile in enumerate(line):
            page.paste(tile, (across * width, down * height))
    return page, max(width, height) == LARGEST + GAP


def _tile(path: Path) -> Image.Image:
    with Image.open(path) as file:
        return _reduced(file.convert("L" if file.mode in ("1", "L") else "RGB"))


def _reduced(image: Image.Image) -> Image.Image:
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return image


def _uri(image: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return _data(f"image/{kind.lower()}", buffer.getvalue())


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
