"""The legend of a picture with many panels."""

import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from smoothbench.report.figures.singled_out import PALE
from smoothbench.report.figures.style import BASELINE, INK, baseline_family, family_styles

FADED = 0.38  # opacity of points that another beats


def draw_legend(axes: Axes, frame: pd.DataFrame, coloured: Sequence[str]) -> None:
    """Fill an empty cell of the grid with the legend of all panels: of the families in colour, and of the rest."""
    drawn = set(frame.loc[(frame["status.quality"] == "done") & ~frame["reference"].astype(bool), "family"])
    handles: list[Artist] = [*_families(frame, coloured, drawn), *_reference(frame)]
    if baseline_family(frame) in drawn:
        interval = "95 % interval of no cache, fewer steps"
        handles.append(Patch(color=BASELINE, alpha=0.18, linewidth=0, label=interval))
    handles.append(Line2D([], [], label="Pareto front of the values, without a test", **front_style()))
    faded = "faded: behind the front"
    handles.append(Line2D([], [], label=faded, alpha=FADED, **_marker(BASELINE, "o", "")))
    for handle in handles:
        handle.set_label(textwrap.fill(str(handle.get_label()), 48))
    axes.legend(handles=handles, loc="center", labelspacing=0.75, handlelength=2.4)


def star_style() -> dict[str, Any]:
    """Return the looks of the reference point."""
    return _marker(INK, "*", "") | {"markersize": 11, "zorder": 5}


def front_style() -> dict[str, Any]:
    """Return the looks of the Pareto front."""
    return {"color": INK, "alpha": 0.13, "linewidth": 4.5}


def _families(frame: pd.DataFrame, coloured: Sequence[str], drawn: set[str]) -> list[Line2D]:
    """Entries of the families in colour of which points are drawn, and one of all others."""
    baseline = baseline_family(frame)
    others = drawn - set(coloured)
    pale = [Line2D([], [], label=f"{len(others)} more families", **_marker(PALE, ".", ""))] if others else []
    return [
        Line2D([], [], label=family, **_marker(colour, marker, "--" if family == baseline else "-"))
        for family, (colour, marker) in family_styles(frame, coloured).items()
        if family in drawn & set(coloured)
    ] + pale


def _reference(frame: pd.DataFrame) -> list[Line2D]:
    labels = frame.loc[frame["reference"].astype(bool), "label"]
    return [Line2D([], [], label=f"{label} (reference)", **star_style()) for label in labels[:1]]


def _marker(colour: str, marker: str, line: str) -> dict[str, Any]:
    return {
        "color": colour,
        "marker": marker,
        "linestyle": line,
        "linewidth": 1.0,
        "markersize": 5.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
    }
