"""Which families a picture of many draws in colour, and where it cuts off the others."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from smoothbench.report.figures.panel import Panel
from smoothbench.report.figures.style import COLOURS, baseline_family, family_styles

PALE = "#c3cad3"
ROOM = 0.4  # of the range of the families in colour, above and below them
MOST = len(COLOURS)  # families with a colour of their own, beside the reference's


def in_colour(frame: pd.DataFrame, families: Sequence[str]) -> list[str]:
    """Return the families to draw in colour, the reference's first: all where they are few, else the first of these.

    Args: families, the most interesting first; those of the frame in its order where none is given.
    """
    drawn, baseline = list(family_styles(frame)), baseline_family(frame)
    others = [name for name in drawn if name != baseline]
    if len(others) > MOST:
        others = [name for name in families or others if name in others][:MOST]
    return others if baseline is None else [baseline, *others]


def draw_pale(axes: Axes, panel: Panel, chosen: NDArray[np.bool_]) -> None:
    """Draw points without a colour of their own."""
    axes.plot(panel.x[chosen], panel.y[chosen], ".", color=PALE, zorder=1.2)


def cut_off(axes: Axes, panel: Panel, coloured: Sequence[str]) -> None:
    """Leave out what lies far from the families in colour, so that these can be told apart; no logarithmic axis.

    Of these the worse side ends not far behind no cache with fewer steps, by as much as its points span: a family that
    is unbeaten at one budget may be useless at another, and would flatten all that is of use. Args: coloured, the
    reference's family first.
    """
    shown = panel.rows["family"].isin(coloured).to_numpy(dtype=bool)
    if shown.all() or not shown.any() or axes.get_yscale() == "log":
        return
    low, high = float(panel.low[shown].min()), float(panel.high[shown].max())
    uncached = (panel.rows["family"] == coloured[0]).to_numpy(dtype=bool)
    if (uncached & ~panel.rows["reference"].to_numpy(dtype=bool)).any():
        worst, best = float(panel.low[uncached].min()), float(panel.high[uncached].max())
        low = max(low, 2 * worst - best) if panel.higher else low
        high = high if panel.higher else min(high, 2 * best - worst)
    room = ROOM * (high - low or 1.0)
    axes.set_ylim(max(axes.get_ylim()[0], low - room), min(axes.get_ylim()[1], high + room))
