"""The rendered report of a results folder."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from smoothbench.report.document import document
from smoothbench.report.files import replace, write_text
from smoothbench.report.frame import load, scores, settings
from smoothbench.report.plots import pareto
from smoothbench.report.rasters import schedules
from smoothbench.report.sheets import contact_sheet
from smoothbench.report.style import DPI, styled
from smoothbench.report.tables import numbers

Drawing = tuple[str, tuple[str, ...], Callable[[], Figure]]


def write(folder: str | Path) -> list[Path]:
    """Write report.md, table.csv and the pictures into a results folder and return their paths.

    The same records give the same bytes. Points that may not share a table get one of their own, and its
    files a suffix. ValueError if the folder has no record.
    """
    folder = Path(folder)
    frame = load(folder)
    paths, parts = [], []
    for suffix, part in settings(frame):
        end = f"-{suffix}" if suffix else ""
        paths.append(write_text(folder / f"table{end}.csv", _csv(part)))
        pictures = []
        for name, formats, draw in _drawings(part, folder):
            figure = draw()
            paths += [_save(figure, folder / f"{name}{end}.{extension}") for extension in formats]
            pictures.append(f"{name}{end}.png")
        parts.append((part, pictures))
    text = document(parts, frame.attrs["ignored"])
    return [write_text(folder / "report.md", text), *paths]


def _drawings(part: pd.DataFrame, folder: Path) -> Iterator[Drawing]:
    """The pictures for which the records have the data: name, formats and what draws it."""
    scored = part[scores(part)].notna().any(axis="columns")
    for cost in ("macs", "latency"):
        if cost in part and (scored & part[cost].notna()).any():
            yield f"pareto_{cost}", ("png", "svg"), partial(pareto, part, cost)
    if part["schedule"].notna().any():
        yield "schedules", ("png",), partial(schedules, part)
    if any(any((folder / "previews" / each).glob("*.png")) for each in part["sample_id"]):
        yield "contact_sheet", ("png",), partial(contact_sheet, part, folder / "previews")


def _csv(part: pd.DataFrame) -> str:
    return str(numbers(part).to_csv(index=False, lineterminator="\n"))


def _save(figure: Figure, path: Path) -> Path:
    extension = path.suffix[1:]
    metadata = {"Date": None} if extension == "svg" else {"Software": None}
    with styled():
        return replace(path, lambda file: figure.savefig(file, format=extension, dpi=DPI, metadata=metadata))
