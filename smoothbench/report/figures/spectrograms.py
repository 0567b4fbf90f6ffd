"""Log-mel spectrograms of the same seeds from every policy."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import soundfile
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from metrics.spectra import mel_bands
from smoothbench.report.figures.contact_sheet import EDGE, GAP, Tile, sheet, with_previews
from smoothbench.report.figures.style import INK, MUTED, styled

SUFFIX = ".flac"
SEEDS = 3  # columns
SIZE = (160, 80)  # pixels of a tile, across and down: the second is the number of mel bands
WINDOW = 0.064  # seconds, at most
RANGE = 80.0  # decibels under the loudest that are told apart
LEVELS = 40  # of colour, 2 dB each: more are not seen, and files are large
KILOHERTZ = (0.5, 1, 2, 4, 8, 16)
RIGHT, BELOW = 150, 62  # pixels for the axes and the scale

Array = NDArray[np.float64]


def spectrograms(frame: pd.DataFrame, previews: str | Path) -> Figure:
    """Draw clips, policies as rows, seeds across, from `previews/<sample_id>/<seed>.flac` (SmoothCache, Figure 6).

    One scale for all: 0 dB is the loudest of the reference's clips shown. Points that share samples share a
    row, a seed that a point lacks stays blank. ValueError if there is no clip, or one that cannot be read.
    """
    previewed = with_previews(frame, Path(previews), SUFFIX)
    if not previewed:
        raise ValueError(f"no preview clip in {previews}: run the experiment first")
    top = loudest(frame, Path(previews))
    rows = [
        (part, {path.stem: coloured(tile(path, top)) for path in paths[:SEEDS]}) for part, paths in previewed
    ]
    figure = sheet(frame, rows, "log-mel spectrograms", RIGHT, BELOW)
    seconds, rate = duration(previewed[0][1][0])
    with styled():
        panels = figure.axes[:]
        for axes in panels:
            _name_bands(axes, rate)
        panels[0].annotate("kHz", (1, 1), (3, 3), "axes fraction", "offset points", fontsize=6, color=MUTED)
        _name_times(panels[-1], seconds)
        _draw_scale(figure, panels[0])
    return figure


def loudest(frame: pd.DataFrame, previews: Path) -> float:
    """Return the decibels of the loudest cell in the reference's clips, or in all of them where it has none."""
    previewed = with_previews(frame, previews, SUFFIX)
    references = [paths for part, paths in previewed if part["reference"].astype(bool).any()]
    paths = [path for each in references or [paths for _, paths in previewed] for path in each[:SEEDS]]
    return max((float(log_mel(*read_clip(path)).max()) for path in paths), default=0.0)


def tile(path: Path, top: float) -> NDArray[np.uint8]:
    """Return a clip's log-mel spectrogram, uint8 levels [mel bands, times], high bands first, `top` the loudest."""
    decibels = log_mel(*read_clip(path))
    share = np.clip((decibels - top) / RANGE + 1, 0, 1)[::-1]
    picture = Image.fromarray(share.astype(np.float32)).resize(SIZE, Image.Resampling.BILINEAR)
    return np.asarray(np.rint(np.asarray(picture) * (LEVELS - 1)), dtype=np.uint8)


def palette() -> NDArray[np.uint8]:
    """Return the colour of each level, RGB [levels, 3]."""
    return np.asarray(np.rint(255 * _colours()(np.arange(LEVELS))[:, :3]), dtype=np.uint8)


def coloured(levels: NDArray[np.uint8]) -> Tile:
    """Return levels as RGB [mel bands, times, 3]."""
    return palette()[levels]


def log_mel(clip: Array, rate: int) -> Array:
    """Return power in mel bands [bands, times] in decibels, 0 where it is 1 in samples of -1 to 1, floored at -200.

    A band adds up its lines' power under a triangle of peak 1, of which Hann's window gives half as much
    again: a sine of full scale, whose power is -3 dB, comes to between -1.3 and -4.6 dB by where it lies.
    Of a clip [frames, channels], whose channels' powers are averaged. Hann windows of at most 64 ms, a
    power of two in frames, with three quarters of overlap; triangular bands on HTK's mel scale from 0 Hz to
    half the rate.
    """
    from scipy.signal import get_window, spectrogram  # slow to import, and for audio alone

    length = 2 ** int(np.log2(WINDOW * rate) + 1e-9)
    padded = np.pad(clip, ((0, max(length - len(clip), 0)), (0, 0)))
    options: Any = {"nperseg": length, "noverlap": length * 3 // 4, "detrend": False, "scaling": "spectrum"}
    _, _, power = spectrogram(padded, rate, window=get_window("hann", length), axis=0, **options)
    powers = mel_bands(rate, length, SIZE[1]).numpy() @ power.mean(axis=1)
    return np.asarray(10 * np.log10(np.maximum(powers, 1e-20)))


def mel(hertz: Any) -> Any:
    """Convert Hertz to HTK's mel scale."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def read_clip(path: Path) -> tuple[Array, int]:
    """Read a clip [frames, channels] in -1 to 1 and its rate; ValueError where it cannot be read or is empty."""
    try:
        clip, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(
            f"{path} is no FLAC file, or a damaged one ({error.error_string}): run the experiment again"
        ) from None
    if not len(clip):
        raise ValueError(f"{path} is a clip without a frame: run the experiment again")
    return clip, int(rate)


def duration(path: Path) -> tuple[float, int]:
    """Return the seconds and the rate of a clip."""
    clip, rate = read_clip(path)
    return len(clip) / rate, rate


def _colours() -> Colormap:
    return ListedColormap(matplotlib.colormaps["magma"](np.linspace(0, 1, LEVELS)))


def _name_bands(axes: Axes, rate: int) -> None:
    """Frequencies on the right of a row."""
    shown = [each for each in KILOHERTZ if each * 1000 < rate / 2]
    heights = [SIZE[1] * (1 - float(mel(1000 * each) / mel(rate / 2))) - 0.5 for each in shown]
    _show(axes)
    axes.yaxis.tick_right()
    axes.set_yticks(heights, [f"{each:g}" for each in shown])
    axes.tick_params(axis="y", labelsize=5.5, length=2, pad=1.5)


def _name_times(axes: Axes, seconds: float) -> None:
    """Seconds under the last row."""
    width = SIZE[0] + GAP
    count = round((axes.get_xlim()[1] + 0.5 + GAP) / width)
    starts = [i * width - 0.5 for i in range(count)]
    ticks = [(x, "0") for x in starts] + [(x + SIZE[0], f"{seconds:.3g} s") for x in starts]
    axes.set_xticks([x for x, _ in ticks], [text for _, text in ticks])
    axes.tick_params(axis="x", labelsize=6, length=2, pad=2)
    for label, (_, text) in zip(axes.get_xticklabels(), ticks, strict=True):
        label.set_horizontalalignment("left" if text == "0" else "right")


def _show(axes: Axes) -> None:
    axes.set_axis_on()
    axes.spines[:].set_visible(False)
    axes.grid(False)
    axes.set_xticks([])


def _draw_scale(figure: Figure, first: Axes) -> None:
    """What the colours mean, beside the first row."""
    across = figure.bbox.width
    box = first.get_position()
    place = ((across - EDGE - 66) / across, box.y0, 14 / across, box.height)
    axes = figure.add_axes(place)
    axes.imshow(
        np.arange(LEVELS)[:, None], cmap=_colours(), origin="lower", aspect="auto", extent=(0, 1, -RANGE, 0)
    )
    _show(axes)
    axes.yaxis.tick_right()
    axes.set_yticks([-RANGE, -RANGE / 2, 0])
    axes.tick_params(axis="y", labelsize=5.5, length=2, pad=1.5)
    axes.set_title("dB", fontsize=6, color=INK, fontweight="normal", pad=3)
