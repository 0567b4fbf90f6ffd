"""Cost against quality: one panel a score, all points with their intervals, the front in front."""

import math
import textwrap
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from smoothbench.report.data.distinctions import setting_title, write_title
from smoothbench.report.data.frame import is_reference
from smoothbench.report.data.groups import require_one_group
from smoothbench.report.figures.labels import (
    Label,
    bar_boxes,
    draw_labels,
    line_points,
    marker_boxes,
    settle_layout,
)
from smoothbench.report.figures.legend import FADED, draw_legend, front_style, star_style
from smoothbench.report.figures.panel import Panel, panel_of, tells_apart
from smoothbench.report.figures.singled_out import cut_off, draw_pale, in_colour
from smoothbench.report.figures.style import (
    BASELINE,
    LOG_FROM,
    MUTED,
    baseline_family,
    family_styles,
    log_ticks,
    new_figure,
    styled,
)
from smoothbench.report.tables.point_tables import against_real, fidelity

PANEL = (3.5, 2.75)  # inches
MOST = 15  # panels; with the legend they fill a grid of four by four
TINY = 1e-3
COSTS = MappingProxyType(
    {
        "macs": "MACs per sample (G), log scale: further left is cheaper",
        "latency": "latency of a batch (s), log scale: further left is faster",
    }
)


def pareto(frame: pd.DataFrame, x: str = "macs", families: Sequence[str] = ()) -> Figure:
    """Draw every score against `macs` (per sample) or `latency` (a batch) in small panels, log cost axis.

    Scores against real data are drawn as paired differences to the reference (a star, at 0) with their 95 % intervals,
    distances to its samples as they are. Points that another beats are faded; dashed grey, with a band, is no cache.
    Scores that tell no two points apart, and of very many the last, are only named. Args: families, those to draw in
    colour where there are too many of them, the first ones; the others are pale points.
    ValueError if x is unknown, nothing was measured, or points cannot share a picture.
    """
    require_one_group(frame)
    label = _cost_label(frame, x)
    panels, left_out = _panels(frame, x)
    coloured = in_colour(frame, families)
    costs = [cost for panel in panels for cost in panel.x]
    cells = len(panels) + 1  # the legend has a cell of its own
    columns = 2 if cells in (2, 4) else 3 if cells <= 9 else 4
    lines = math.ceil(cells / columns)
    if left_out:
        label += f"; not drawn, as they tell no two points apart or for want of room: {', '.join(left_out)}"
    with styled():
        figure = new_figure(PANEL[0] * columns + 0.2, PANEL[1] * lines + 0.65)
        figure.set_layout_engine("constrained", h_pad=0.07, w_pad=0.07, hspace=0.03, wspace=0.03)
        all_axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, panel in zip(all_axes, panels, strict=False):
            _draw(axes, panel, frame, coloured, min(costs), max(costs))
        for axes in all_axes[len(panels) :]:
            axes.set_axis_off()
        write_title(
            figure,
            frame,
            f"{setting_title(frame)} (seeds {frame.iloc[0]['seeds']})",
            "model",
            "solver",
            "N",
            "seeds",
        )
        figure.supxlabel(textwrap.fill(label, columns * 44), fontsize=8.5)
        draw_legend(all_axes[len(panels)], frame, coloured)
        settle_layout(figure)  # labels need final positions
        for axes, panel in zip(all_axes, panels, strict=False):
            _name_front(axes, panel, frame, coloured)
    return figure


def _cost_label(frame: pd.DataFrame, x: str) -> str:
    if x == "macs":
        return COSTS[x]
    if x != "latency" or "latency" not in frame:
        raise ValueError(f"cannot draw scores against {x}: take macs, or latency where latency.json exists")
    first = frame.iloc[0]
    where = f"{first['latency.device']}, {first['latency.kind']}, batch of {first['latency.batch_size']}"
    return f"{COSTS[x]}, median and MAD  [{where}]"


def _panels(frame: pd.DataFrame, x: str) -> tuple[list[Panel], list[str]]:
    """The panels to draw, and the names of the scores for which there is no room."""
    panels = [panel_of(frame, score, x) for score in [*against_real(frame), *fidelity(frame)]]
    panels = [one for one in panels if len(one.rows)]
    if not panels:
        raise ValueError(f"no point has both a score and {x}: measure them first")
    telling = [one for one in panels if tells_apart(frame, one.score)] or panels
    drawn = telling[:MOST]
    return drawn, [one.score for one in panels if one not in drawn]


def _draw(
    axes: Axes, panel: Panel, frame: pd.DataFrame, coloured: Sequence[str], least: float, most: float
) -> None:
    """Args: least, most, the cheapest and the dearest point of all panels: they share the cost axis."""
    scale(axes, panel, least, most)
    axes.set_title(panel.score, pad=5)
    axes.set_ylabel(direction(panel), color=MUTED)
    if panel.paired:
        axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    best = panel.front
    axes.step(panel.x[best], panel.y[best], where="post", zorder=1.5, **front_style())
    baseline = baseline_family(frame)
    for family, (colour, marker) in family_styles(frame, coloured).items():
        of_family = (panel.rows["family"] == family).to_numpy()
        if family not in coloured:
            draw_pale(axes, panel, of_family)
            continue
        dashes = "--" if family == baseline else "-"
        axes.plot(
            panel.x[of_family], panel.y[of_family], dashes, color=colour, alpha=0.4, linewidth=1.0, zorder=2
        )
        if family == baseline:
            draw_band(axes, panel, of_family)
        for chosen, alpha, order in ((of_family & ~best, FADED, 3.0), (of_family & best, 1.0, 4.0)):
            if chosen.any():
                _draw_points(axes, panel, chosen, colour, marker, alpha, order)
    star = panel.rows["reference"].to_numpy(dtype=bool)
    axes.plot(panel.x[star], panel.y[star], **star_style())
    cut_off(axes, panel, coloured)


def _draw_points(
    axes: Axes,
    panel: Panel,
    chosen: NDArray[np.bool_],
    colour: str,
    marker: str,
    alpha: float,
    order: float,
) -> None:
    y = panel.y[chosen]
    axes.errorbar(
        panel.x[chosen],
        y,
        yerr=np.abs([y - panel.low[chosen], panel.high[chosen] - y]),
        xerr=None if panel.spread is None else panel.spread[chosen],
        fmt="none",
        ecolor=colour,
        elinewidth=0.9,
        alpha=alpha,
        zorder=order,
    )
    size = 26 if marker == "s" else 32
    axes.scatter(
        panel.x[chosen], y, s=size, marker=marker, color=colour, alpha=alpha, linewidths=0.6,
        edgecolors="white", zorder=order + 0.1,
    )  # fmt: skip


def direction(panel: Panel) -> str:
    """Return the label of a panel's vertical axis: what it shows, and which way is better."""
    better = "higher is better \u2191" if panel.higher else "lower is better \u2193"
    return f"difference to the reference, {better}" if panel.paired else better


def draw_band(axes: Axes, panel: Panel, chosen: NDArray[np.bool_]) -> None:
    """Fill between the intervals of some points: a curve with its band."""
    axes.fill_between(
        panel.x[chosen], panel.low[chosen], panel.high[chosen], color=BASELINE, alpha=0.18, linewidth=0,
        zorder=0.6,
    )  # fmt: skip


def scale(axes: Axes, panel: Panel, least: float, most: float) -> None:
    """Scale the axes of a panel; costs reach from `least` to `most`, and are logarithmic."""
    axes.set_xscale("log")
    pad = (most / least) ** 0.07 if most > least else 1.5
    low, high = least / pad, most * pad
    axes.set_xlim(low, high)
    log_ticks(axes.xaxis, low, high)
    if panel.y.min() > 0 and panel.y.max() > LOG_FROM * panel.y.min():
        pad = (panel.y.max() / panel.y.min()) ** 0.08
        axes.set_yscale("log")
        axes.set_ylim(panel.y.min() / pad, panel.y.max() * pad)
        log_ticks(axes.yaxis, panel.y.min() / pad, panel.y.max() * pad)
    else:
        axes.margins(y=0.1)
        if np.abs(panel.y).max() < TINY:  # a power of ten above the axis would push the title
            axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:.3g}"))


def _name_front(axes: Axes, panel: Panel, frame: pd.DataFrame, coloured: Sequence[str]) -> None:
    """Settings of the points on the front, without the family: its colour says that."""
    obstacles = marker_boxes(axes, zip(panel.x, panel.y, strict=True))
    obstacles += bar_boxes(axes, panel.x, panel.x, panel.low, panel.high)
    if panel.spread is not None:
        obstacles += bar_boxes(axes, panel.x - panel.spread, panel.x + panel.spread, panel.y, panel.y)
    styles = family_styles(frame, coloured)
    chosen = panel.front & ~is_reference(panel.rows, frame) & panel.rows["family"].isin(coloured)
    labels = [
        Label(panel.x[i], panel.y[i], _setting(row["label"], row["family"]), styles[row["family"]][0])
        for i, row in panel.rows[chosen].iterrows()
    ]
    draw_labels(axes, labels, obstacles, line_points(axes))


def _setting(label: str, family: str) -> str:
    return label.removeprefix(family).strip(" ,:") or label
