"""The picture of the nano twin's errors beside DiT-XL/2's."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from smoothbench.report.figures.style import COLOURS, INK, MUTED, log_ticks, new_figure, styled

DRAWN = (1, 3, 9)  # lags
PANEL = (2.9, 2.6)  # inches


def picture(theirs: NDArray[np.float64], ours: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Draw errors against the evaluation, counted from the end, a panel a lag.

    The twin's lines are means, their bands the middle 95 % of its samples.
    """
    with styled():
        figure = new_figure(PANEL[0] * len(DRAWN) + 0.3, PANEL[1] + 0.7)
        figure.set_layout_engine("constrained", h_pad=0.07, w_pad=0.07)
        grid = figure.subplots(1, len(DRAWN), squeeze=False, sharey=True)[0]
        for axes, lag in zip(grid, DRAWN, strict=True):
            places = np.arange(theirs.shape[1] - lag)
            axes.plot(
                places, theirs[lag - 1, : len(places)], color=INK, linewidth=1.6, label="DiT-XL/2 (CEM)"
            )
            for colour, (name, errors) in zip(COLOURS, ours.items(), strict=False):
                drawn = errors[lag - 1, : len(places)]
                low, high = np.quantile(drawn, (0.025, 0.975), axis=1)
                axes.plot(places, drawn.mean(1), color=colour, linewidth=1.2, label=f"dit_nano, {name}")
                axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.set_yscale("log")
            log_ticks(axes.yaxis, *axes.get_ylim())
            axes.set_title(f"lag {lag}", pad=5)
        grid[0].set_ylabel("1 - cosine of the mean token", color=MUTED)
        samples = next(iter(ours.values())).shape[2]
        figure.supxlabel(
            f"evaluation, counted from the end (0: the last); bands: the middle 95 % of {samples} samples",
            fontsize=8.0,
        )
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(handles))
    return figure
