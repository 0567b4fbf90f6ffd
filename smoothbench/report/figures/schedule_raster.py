"""What a schedule computes and what it reuses, as a picture."""

import math
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from smoothbench.report.data.distinctions import write_title
from smoothbench.report.figures.style import INK, MUTED, new_figure, styled
from smoothbench.report.tables.paper_cells import values

COMPUTED, REUSED = "#1f4e79", "#e3e9f0"
PANEL = (2.75, 1.12)  # inches
COLUMNS = 4
LINE = 38  # letters above a panel
LEGEND = 2.0  # inches beside the title
LEAST = 6.1  # inches across that the title beside the legend needs, and the words below


def schedules(frame: pd.DataFrame) -> Figure:
    """Draw a small panel for each distinct schedule: evaluations across, sites down (grouped by kind).

    Points that share a schedule share a panel; one of which only the count of full evaluations was published
    has none, as it stands for any. ValueError if no point has a schedule.
    """
    panels = _distinct(frame[values(frame, "planned") != "published count"])
    if not panels:
        raise ValueError("no point has a schedule to draw: run the experiment first")
    columns = min(COLUMNS, len(panels))
    lines = math.ceil(len(panels) / columns)
    with styled():
        figure = new_figure(max(LEAST, PANEL[0] * columns + 0.6), PANEL[1] * lines + 0.75)
        figure.set_layout_engine("constrained", h_pad=0.05, w_pad=0.06)
        all_axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for position, axes in enumerate(all_axes):
            if position < len(panels):
                same = position % columns and _kinds(panels[position]) == _kinds(panels[position - 1])
                _draw(axes, panels[position], named=not same)
            else:
                axes.set_axis_off()
        write_title(figure, frame, _title(frame), "experiment", beside=LEGEND)
        figure.supxlabel("evaluation of the denoiser, in order of execution: noisiest first", fontsize=8.5)
        patches = [Patch(color=COMPUTED, label="computed"), Patch(color=REUSED, label="reused")]
        figure.legend(handles=patches, loc="outside upper right", ncols=2)
    return figure


def _title(frame: pd.DataFrame) -> str:
    experiments = ", ".join(sorted(set(frame["experiment"])))
    return f"{experiments}: schedules and their share of the reference's MACs"


def _distinct(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows of each distinct schedule, in the experiment's order."""
    planned = frame[frame["schedule"].notna()]
    keys = [(*plan.sites, "", *plan.rows) for plan in planned["schedule"]]
    return [planned.iloc[[i for i, other in enumerate(keys) if other == key]] for key in dict.fromkeys(keys)]


def _kinds(rows: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(rows["schedule"].iloc[0].kinds))


def _draw(axes: Axes, rows: pd.DataFrame, named: bool) -> None:
    schedule = rows["schedule"].iloc[0]
    kinds = _kinds(rows)
    order = sorted(range(len(schedule.kinds)), key=lambda site: kinds.index(schedule.kinds[site]))
    computed = np.array([[row[site] == "1" for row in schedule.rows] for site in order])
    sites, evals = computed.shape
    colours = ListedColormap([REUSED, COMPUTED])
    fine = evals <= 120 and sites <= 60
    axes.pcolormesh(computed, cmap=colours, vmin=0, vmax=1, edgecolors="white", linewidth=0.25 if fine else 0)
    axes.set(xlim=(0, evals), ylim=(sites, 0), xticks=[0.5, evals - 0.5], xticklabels=["0", str(evals - 1)])
    axes.tick_params(length=0, pad=2, labelsize=6)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    counts = [schedule.kinds.count(kind) for kind in kinds]
    ends = np.cumsum(counts)
    for end in ends[:-1]:
        axes.axhline(end, color="white", linewidth=1.8)
    axes.set_yticks(ends - np.array(counts) / 2, [kind.replace("_", " ") for kind in kinds] if named else [])
    _write_title(axes, rows)


def _write_title(axes: Axes, rows: pd.DataFrame) -> None:
    names = list(dict.fromkeys(rows["label"]))
    short = " = ".join(names)
    lines = [short] if len(short) <= LINE else [names[0], *(f"= {name}" for name in names[1:])]
    title = "\n".join(textwrap.fill(line, LINE) for line in lines)
    axes.set_title(title, fontsize=7.2, loc="left", pad=3, color=INK)
    share = rows["share"].iloc[0]
    if not math.isnan(share):
        axes.set_title(f"{100 * share:.0f} %", fontsize=7.2, loc="right", pad=3, color=MUTED)
