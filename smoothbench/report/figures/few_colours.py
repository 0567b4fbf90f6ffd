"""A drawn figure in 256 colours, a third of the bytes, with the colours that tell its families apart as they are."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from smoothbench.report.figures.style import BASELINE, COLOURS, PAPER

MOST = 256
SHADES = 10  # of each family's colour on its way to the paper: faded markers, and the edges of lines
FREQUENT = 64  # colours that cover most of the figure are taken over exactly


def few_colours(image: Image.Image) -> Image.Image:
    """Return an RGB image as a palette image of at most 256 colours.

    A palette chosen by the number of pixels alone (median cut) gives small markers the colours of their neighbours,
    so that a legend names the wrong family. Here the families' colours, their paler shades and the most frequent
    colours of the image come first; median cut fills what is left. Each pixel gets the nearest of them.
    """
    counted = sorted(image.getcolors(image.width * image.height), reverse=True)  # type: ignore[arg-type]
    colours = np.array([colour for _, colour in counted], dtype=np.int32)
    palette = colours if len(colours) <= MOST else _palette(image, colours)
    # an index for every colour that there is: faster than a search for each pixel
    indices = np.zeros(1 << 24, dtype=np.uint8)
    indices[_packed(colours)] = _nearest(colours, palette)
    result = Image.fromarray(indices[_packed(np.asarray(image, dtype=np.int32))])
    result.putpalette(palette.astype(np.uint8).tobytes())
    return result


def _palette(image: Image.Image, colours: NDArray[np.int32]) -> NDArray[np.int32]:
    first = dict.fromkeys([*map(tuple, colours[:FREQUENT].tolist()), *_shades()])
    filled = image.quantize(MOST - len(first), dither=Image.Dither.NONE).getpalette()
    rest = np.asarray(filled, dtype=np.int32).reshape(-1, 3)[: MOST - len(first)]
    return np.concatenate([np.array(list(first), dtype=np.int32), rest])


def _shades() -> Iterator[tuple[int, ...]]:
    paper = np.array(ImageColor.getrgb(PAPER))
    for colour in (np.array(ImageColor.getrgb(name)) for name in (*COLOURS, BASELINE)):
        for share in np.linspace(1, 0, SHADES, endpoint=False):
            yield tuple(np.rint(share * colour + (1 - share) * paper).astype(int).tolist())


def _packed(colours: NDArray[np.int32]) -> NDArray[np.int32]:
    """A colour as one number; colours [..., 3], 0 to 255."""
    return colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]


def _nearest(colours: NDArray[np.int32], palette: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Index of the palette's colour nearest to each; |c - p|^2 without the colour's own square, which is the same."""
    distance = (palette**2).sum(axis=1) - 2 * (colours @ palette.T)
    return distance.argmin(axis=1).astype(np.uint8)
