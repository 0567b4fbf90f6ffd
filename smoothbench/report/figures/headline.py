"""The picture that a report opens with: nearness and distribution quality against MACs and measured time."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from smoothbench.report.data.distinctions import setting_title, write_title
from smoothbench.report.data.groups import require_one_group
from smoothbench.report.figures.labels import (
    Label,
    bar_boxes,
    draw_labels,
    line_points,
    marker_boxes,
    settle_layout,
)
from smoothbench.report.figures.legend import star_style
from smoothbench.report.figures.panel import Panel, panel_of
from smoothbench.report.figures.pareto_plot import COSTS, direction, draw_band, scale
from smoothbench.report.figures.singled_out import cut_off, draw_pale, in_colour
from smoothbench.report.figures.style import (
    BASELINE,
    MUTED,
    baseline_family,
    family_styles,
    new_figure,
    styled,
)
from smoothbench.report.tables.column import is_timed
from smoothbench.report.tables.point_tables import headline_scores

SIZE = (3.9, 3.1)  # inches of a panel: two of them are readable at 800 pixels


def headline(frame: pd.DataFrame, families: Sequence[str] = ()) -> Figure:
    """Draw the first score of each kind against MACs and, where it was measured, against latency.

    Distribution quality is the paired difference to the reference, at 0. Names stand beside the points; no cache with
    fewer steps is a curve with its band. Args: families, those to draw in colour where there are more than `MOST`, the
    first ones; the others are pale points without a name, and what lies far from the rest or is far worse than the
    fewest steps of no cache is cut off.
    ValueError if no point has a score and a cost, or points cannot share a picture.
    """
    require_one_group(frame)
    costs = ["macs", "latency"] if is_timed(frame) else ["macs"]
    names = headline_scores(frame)
    grid = [[panel_of(frame, name, cost) for name in names] for cost in costs]
    grid = [row for row in grid if any(len(one.rows) for one in row)]
    if not grid:
        raise ValueError("no point has both a score and a cost: measure them first")
    named = in_colour(frame, families)
    with styled():
        figure = new_figure(SIZE[0] * len(names), SIZE[1] * len(grid) + 0.3)
        figure.set_layout_engine("constrained", h_pad=0.07, w_pad=0.07)
        axes = figure.subplots(len(grid), len(names), squeeze=False)
        for row, cost, of_row in zip(grid, costs, axes, strict=False):
            for one, place in zip(row, of_row, strict=True):
                _draw(place, one, frame, named)
                place.set_xlabel(COSTS[cost], fontsize=7.5)
        write_title(figure, frame, setting_title(frame), "model", "solver", "N", "seeds")
        settle_layout(figure)  # labels need final positions
        for row, of_row in zip(grid, axes, strict=False):
            for one, place in zip(row, of_row, strict=True):
                _name(place, one, frame, named)
    return figure


def _draw(axes: Axes, panel: Panel, frame: pd.DataFrame, named: Sequence[str]) -> None:
    if not len(panel.rows):
        axes.set_axis_off()
        return
    scale(axes, panel, panel.x.min(), panel.x.max())
    axes.set_title(f"{'quality' if panel.paired else 'nearness'}: {panel.score}", pad=5)
    axes.set_ylabel(direction(panel), color=MUTED)
    if panel.paired:
        axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    baseline = baseline_family(frame)
    for family, (colour, marker) in family_styles(frame, named).items():
        chosen = (panel.rows["family"] == family).to_numpy()
        if family == baseline:
            draw_band(axes, panel, chosen)
            alone = "o" if chosen.sum() == 1 else None  # a curve of one point would not be seen
            x, y = panel.x[chosen], panel.y[chosen]
            axes.plot(x, y, ls="-", marker=alone, color=BASELINE, linewidth=1.6, zorder=1.5)
        elif family not in named:
            draw_pale(axes, panel, chosen)
        else:
            _draw_family(axes, panel, chosen, colour, marker)
    star = panel.rows["reference"].to_numpy(dtype=bool)
    axes.plot(panel.x[star], panel.y[star], **star_style())
    cut_off(axes, panel, named)


def _draw_family(axes: Axes, panel: Panel, chosen: NDArray[np.bool_], colour: str, marker: str) -> None:
    x, y = panel.x[chosen], panel.y[chosen]
    axes.plot(x, y, "-", color=colour, alpha=0.45, linewidth=1.0, zorder=2)
    bars = np.abs([y - panel.low[chosen], panel.high[chosen] - y])
    axes.errorbar(x, y, yerr=bars, fmt="none", ecolor=colour, elinewidth=0.9, zorder=3)
    axes.scatter(x, y, s=26, marker=marker, color=colour, linewidths=0.6, edgecolors="white", zorder=4)


def _name(axes: Axes, panel: Panel, frame: pd.DataFrame, named: Sequence[str]) -> None:
    """Write each family's name beside one of its points: the first in the order of cost that has room.

    A name that has room beside none of them stands further off; in a crowd it may cover points of other families.
    """
    obstacles = marker_boxes(axes, zip(panel.x, panel.y, strict=True))
    obstacles += bar_boxes(axes, panel.x, panel.x, panel.low, panel.high)
    names, lines = list[Bbox](), line_points(axes)
    colours = {name: style[0] for name, style in family_styles(frame, named).items() if name in named}
    left = list(colours)
    for far, taken in ((False, obstacles), (True, obstacles), (True, [])):
        for family in list(left):
            for label in _labels(axes, panel, family, colours[family]):
                if written := draw_labels(axes, [label], [*taken, *names], lines, far):
                    names += written
                    left.remove(family)
                    break


def _labels(axes: Axes, panel: Panel, family: str, colour: str) -> list[Label]:
    """A family's name at each of its points that the picture shows, but for the reference."""
    low, high = axes.get_ylim()
    of_family, reference = panel.rows["family"] == family, panel.rows["reference"].astype(bool)
    places = np.flatnonzero(of_family & ~reference & (low <= panel.y) & (panel.y <= high))
    return [Label(panel.x[i], panel.y[i], family, colour) for i in places]
