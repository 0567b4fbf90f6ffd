"""Figures of few colours keep those that tell families apart."""

import numpy as np
from PIL import Image, ImageColor

from smoothbench.report.figures.few_colours import few_colours
from smoothbench.report.figures.style import COLOURS, PAPER


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=int)


def test_a_few_pixels_of_a_family_keep_its_colour_among_thousands_of_others() -> None:
    red, green = np.meshgrid(np.arange(256), np.arange(256))
    noise = np.stack([red, green, (red + green) // 2], axis=-1).astype(
        np.uint8
    )  # 65,536 pixels, all different
    for i, colour in enumerate(COLOURS):
        noise[i, :3] = ImageColor.getrgb(colour)
    small = few_colours(Image.fromarray(noise))
    assert small.mode == "P"
    for i, colour in enumerate(COLOURS):
        assert (pixels(small)[i, :3] == ImageColor.getrgb(colour)).all()
    by_number = pixels(Image.fromarray(noise).quantize(256, dither=Image.Dither.NONE))
    assert not (by_number[0, :3] == ImageColor.getrgb(COLOURS[0])).all(), "what this is against"
    assert np.abs(pixels(small) - noise).sum(axis=-1).mean() < 40  # of 765


def test_an_image_of_256_colours_loses_nothing() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=-1)
    assert (pixels(few_colours(Image.fromarray(grey))) == grey).all()
    paper = Image.new("RGB", (4, 4), PAPER)
    assert few_colours(paper).convert("RGB").getcolors() == [(16, ImageColor.getrgb(PAPER))]
