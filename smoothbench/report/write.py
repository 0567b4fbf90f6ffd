"""The rendered report of a results folder."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from smoothbench.report.data.frame import load, scores
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.document import document
from smoothbench.report.figures.composition import composition
from smoothbench.report.figures.error_curves import calibrated, error_curves
from smoothbench.report.figures.few_colours import few_colours
from smoothbench.report.figures.headline import headline
from smoothbench.report.figures.pareto_plot import pareto
from smoothbench.report.figures.schedule_raster import schedules
from smoothbench.report.figures.style import DPI, styled
from smoothbench.report.page.html_page import page
from smoothbench.report.page.media_kinds import KINDS, Kind, kinds_in
from smoothbench.report.studies.named_sections import Sections, named_sections
from smoothbench.report.tables import latency_conditions
from smoothbench.report.tables.latency_conditions import Conditions
from smoothbench.report.tables.latex import to_latex
from smoothbench.report.tables.point_tables import measured, numbers
from smoothbench.report.verdict.section import VerdictText, verdict_text
from smoothbench.storage.files import replacing, write_text

FEW = "png8"  # a drawing as a PNG of 256 colours: a third of the bytes
SPREAD = "png8s"  # the same of samples that lose nothing by it: colours spread over all that they have
GREY = "png1"  # a PNG of 256 greys, where all samples are grey: half the bytes
FULL = "png"
# inches: drawings wider than that are shown reduced, and read as well with fewer pixels
WIDE, WIDE_DPI = 10, 120
VECTOR = "svg"
HEADLINE = "headline"
SAMPLES = ("schedules", *(kind.picture for kind in KINDS))  # pictures of pixels, of which there is no drawing
Drawing = tuple[str, str, Callable[[], Figure]]  # a picture's name, its kind of PNG, and what draws it


def write(folder: str | Path, vector: bool = False, brief: bool = False) -> list[Path]:
    """Write report.md, report.html, the tables and the pictures into a results folder; return their paths.

    The same records give the same bytes. Points that may not share a table get one of their own, and its
    files are called by its solver, steps and guidance. Of the sections that the experiment names those that stand for
    all points come first, the others after the tables. Args: vector, whether drawings that hold no samples are saved
    as SVG too; without, an older SVG of them is removed; brief, for tables, report.md and the headline alone, while
    points are still to come. ValueError if the folder has no record.
    """
    folder = Path(folder)
    frame, others = load(folder), latency_conditions.read(folder)
    sections = named_sections(frame)
    ahead: list[Drawing] = [
        (name, FEW, draw) for section in sections.made for name, draw in section.pictures.items()
    ]
    paths = _draw(ahead, folder, "", vector)
    detailed = not any(section.summarises and section.pictures for section in sections.made)
    parts: list[tuple[pd.DataFrame, dict[str, str]]] = []
    verdicts: list[VerdictText | None] = []
    for name, part in comparable_groups(frame):
        end = f"-{name}" if name else ""
        paths += _tables(part, folder, name or "table") + _conditions(
            part, others, folder / f"latency{end}.csv"
        )
        verdicts.append(judged := verdict_text(part))
        drawings = list(_drawings(part, folder, judged.families if judged else ())) if detailed else []
        drawings = [drawing for drawing in drawings if not brief or drawing[0] == HEADLINE]
        paths += _draw(drawings, folder, end, vector)
        parts.append((part, {picture: f"{picture}{end}.png" for picture, _, _ in drawings}))
    ignored = frame.attrs["ignored"]
    shown = [(part, list(pictures.values())) for part, pictures in parts]
    first, after = _lines(sections, True), _lines(sections, False)
    text = document(shown, ignored, first, others, sections.failed, verdicts, after)
    pages = [write_text(folder / "report.md", text)]
    if not brief:
        names = _pictures(sections, True), _pictures(sections, False)
        html = page(parts, folder, ignored, others, names[0], sections.failed, verdicts, names[1])
        pages.append(write_text(folder / "report.html", html))
    return pages + paths


def _lines(sections: Sections, summarises: bool) -> list[str]:
    """The lines and pictures of the sections that stand for their experiment's points, or of the others."""
    lines = [line for one in sections.made if one.summarises == summarises for line in one.lines]
    return lines + [f"![{name}]({name}.png)\n" for name in _pictures(sections, summarises)]


def _pictures(sections: Sections, summarises: bool) -> list[str]:
    return [name for one in sections.made if one.summarises == summarises for name in one.pictures]


def _tables(part: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    paths = [_csv(numbers(part), folder / f"{name}.csv")]
    if len(measured(part)):
        paths.append(write_text(folder / f"{name}.tex", to_latex(part)))
    return paths


def _conditions(part: pd.DataFrame, others: Conditions, path: Path) -> list[Path]:
    table = others.numbers(part)
    return [_csv(table, path)] if len(table) else []


def _csv(table: pd.DataFrame, path: Path) -> Path:
    return write_text(path, str(table.to_csv(index=False, lineterminator="\n")))


def _draw(drawings: list[Drawing], folder: Path, end: str, vector: bool) -> list[Path]:
    paths = []
    for name, kind, draw in drawings:
        figure, path = draw(), folder / f"{name}{end}.{VECTOR}"
        paths.append(_save(figure, folder / f"{name}{end}", kind))
        if vector and kind == FEW and name not in SAMPLES:
            paths.append(_save(figure, folder / f"{name}{end}", VECTOR))
        else:
            path.unlink(missing_ok=True)  # it would show other records than the PNG
    return paths


def _drawings(part: pd.DataFrame, folder: Path, families: Sequence[str]) -> Iterator[Drawing]:
    """The pictures for which the records have the data; of many families the first of these are in colour."""
    scored = part[scores(part)].notna().any(axis="columns")
    if (scored & part["macs"].notna()).any():
        yield HEADLINE, FEW, partial(headline, part, families)
    for cost in ("macs", "latency"):
        if cost in part and (scored & part[cost].notna()).any():
            yield f"pareto_{cost}", FEW, partial(pareto, part, cost, families)
    if len(calibrated(part, folder)):
        yield "error_curves", FEW, partial(error_curves, part, folder)
    if part.loc[part["reference"].astype(bool), "by_kind"].map(bool).any():
        yield "composition", FEW, partial(composition, part)
    if part["schedule"].notna().any():
        yield "schedules", FEW, partial(schedules, part)
    for kind in kinds_in(part, folder / "previews"):
        yield kind.picture, _colours(kind, folder / "previews"), partial(kind.draw, part, folder / "previews")


def _colours(kind: Kind, previews: Path) -> str:
    """Which PNG loses nothing of the samples in a picture."""
    if kind.few:
        return SPREAD
    modes = set()
    for path in previews.rglob(f"*{kind.suffix}"):
        with Image.open(path) as image:
            modes.add(image.mode)
    return GREY if modes == {"L"} else FULL


def _save(figure: Figure, path: Path, kind: str) -> Path:
    path = path.with_name(f"{path.name}.{VECTOR if kind == VECTOR else FULL}")
    with styled(), replacing(path) as file:
        if kind == VECTOR:
            figure.savefig(file, format=VECTOR, metadata={"Date": None})
        else:
            wide = kind == FEW and figure.get_figwidth() > WIDE and not path.name.startswith(SAMPLES)
            _save_pixels(_pixels(figure, WIDE_DPI if wide else DPI), file, kind)
    return path


def _pixels(figure: Figure, dpi: int) -> Image.Image:
    """Draw a figure once; matplotlib's own `savefig` draws it twice where it has a layout."""
    figure.set_dpi(dpi)  # a user's section may draw with pyplot
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image.info["dpi"] = (dpi, dpi)
    return image


def _save_pixels(image: Image.Image, file: BinaryIO, kind: str) -> None:
    dpi = image.info["dpi"]
    if kind == FEW:
        image = few_colours(image)
    if kind == SPREAD:
        image = image.quantize(256, dither=Image.Dither.NONE)
    if kind == GREY:
        image = image.convert("L")
    image.save(file, "png", optimize=kind != FULL, dpi=dpi)
