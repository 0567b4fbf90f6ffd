"""What each point computes, and what it leaves out, by kind of layer."""

import math
import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from smoothbench.report.data.distinctions import write_title
from smoothbench.report.data.groups import require_one_group
from smoothbench.report.figures.style import (
    BASELINE,
    FAINT,
    INK,
    MUTED,
    PAPER,
    branch_of,
    kind_colours,
    new_figure,
    paler,
    styled,
)

BAR = 0.235  # inches a point
WIDTH = 8.2
LABEL = 44  # letters beside a bar
BELOW = 140  # letters below the bars, with those of the longest label beside them
LINE = 6  # entries that a line of the legend has room for
MOST = 50  # bars, where several points compute the same
REST = "rest"
SKIPPED = 0.17  # how much of its colour the skipped part keeps


def composition(part: pd.DataFrame) -> Figure:
    """Draw computed MACs by kind as shares of the reference's, a bar a point in table order; skipped is faint.

    After SmoothCache, Figure 4; `rest` is what no method can skip. ValueError if no point has its MACs by
    kind, the reference has none, or the points cannot share a picture.
    """
    require_one_group(part)
    known = np.array([isinstance(each, Mapping) for each in part["by_kind"]], dtype=bool)
    rows = _bars(part[known])
    reference = rows[rows["reference"].astype(bool)]
    if reference.empty:
        raise ValueError("the reference has no MACs by kind: run the experiment first")
    kinds = _kinds(rows)
    full = _macs(reference.iloc[0]["by_kind"], kinds)
    shares = np.array([_macs(each, kinds) for each in rows["by_kind"]]) / full.sum()
    with styled():
        figure = new_figure(WIDTH, BAR * len(rows) + 1.25)
        figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.08)
        axes = figure.subplots()
        colours = kind_colours(kinds[:-1]) | {REST: BASELINE}
        _draw(axes, shares, full / full.sum(), list(colours.values()))
        _finish(axes, list(rows["label"]), shares.sum(1))
        first = part.iloc[0]
        title = f"{first['model']}, {first['experiment']}: computed MACs by kind of layer"
        write_title(figure, part, title, "model", "experiment")
        total = f"{full.sum() / 1e9:.4g} G MACs a sample"
        label = f"share of the reference's MACs (%), attention products included; 100 % = {total}"
        axes.set_xlabel(textwrap.fill(label, BELOW - max(map(len, _names(list(rows["label"]))))))
        handles = _legend(colours)
        columns = len(handles) if len(handles) <= LINE else math.ceil(len(handles) / 2)
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    return figure


def _bars(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows to draw; of very many, as in a study, only the first of each composition."""
    if len(rows) <= MOST:
        return rows
    keys = [tuple(sorted(each.items())) for each in rows["by_kind"]]
    repeated = pd.Series(keys, index=rows.index).duplicated()
    return rows[~repeated | rows["reference"].astype(bool)]


def _names(labels: list[str]) -> list[str]:
    """Labels that fit beside bars; longer ones with their ends where their beginnings are the same."""
    short = [textwrap.shorten(label, LABEL) for label in labels]
    if len(set(short)) == len(set(labels)):
        return short
    return [each if len(each) <= 2 * LABEL else f"{each[:LABEL]} ... {each[-LABEL:]}" for each in labels]


def _kinds(rows: pd.DataFrame) -> list[str]:
    """All kinds in the order of the records, the rest last."""
    kinds = list(dict.fromkeys(kind for each in rows["by_kind"] for kind in each if kind != REST))
    return [*kinds, REST]


def _macs(by_kind: Mapping[str, float], kinds: list[str]) -> NDArray[np.float64]:
    return np.array([float(by_kind.get(kind, 0)) for kind in kinds])


def _draw(axes: Axes, shares: NDArray[np.float64], full: NDArray[np.float64], colours: list[str]) -> None:
    """Args: shares [points, kinds] and full [kinds], the reference's, of its total."""
    skipped = np.clip(full - shares, 0, None)
    places, left = np.arange(len(shares)), np.zeros(len(shares))
    for values, strength in ((shares, 1.0), (skipped, SKIPPED)):
        for i, colour in enumerate(colours):
            axes.barh(
                places, 100 * values[:, i], left=100 * left, height=0.72, color=paler(colour, strength),
                edgecolor=PAPER, linewidth=0.6 * (strength == 1),
            )  # fmt: skip
            left = left + values[:, i]


def _finish(axes: Axes, labels: list[str], shares: NDArray[np.float64]) -> None:
    axes.set_yticks(range(len(labels)), _names(labels), fontsize=7.2)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_xlim(0, 100 * max(1.0, float(shares.max())))
    axes.spines["left"].set_visible(False)
    for place, share in enumerate(shares):
        axes.annotate(
            f"{100 * share:.0f} %", (1, place), (5, 0), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", va="center", fontsize=6.8, color=MUTED,
        )  # fmt: skip


def _legend(colours: Mapping[str, str]) -> list[Patch]:
    """Columns are filled first: so kinds of one branch stand together."""
    branches = [branch_of(kind) for kind in colours]
    kinds = sorted(colours, key=lambda kind: branches.index(branch_of(kind)))
    handles = [Patch(color=colours[kind], label=kind.replace("_", " ")) for kind in kinds]
    return [*handles, Patch(facecolor=FAINT, label="faint: skipped")]
