"""How the pictures look: one style, one colour and marker for each family, ticks of a logarithmic axis."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

INK, MUTED, FAINT, PAPER = "#1c2430", "#5b6675", "#dfe4ea", "#ffffff"
LOG_FROM = 12.0  # values that span a larger factor than this get a logarithmic axis
BASELINE = "#7a828c"
# Okabe and Ito (2008), safe for the colour-blind, without its black and its yellow, which vanish here.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # 7 markers against 6 colours: 42 distinct pairs
DPI = 160
TEMPORAL = 0.55  # how much of its colour a temporal kind keeps beside the spatial one

STYLE: Mapping[Any, Any] = MappingProxyType(
    {
        "font.family": "DejaVu Sans",
        "font.size": 8.0,
        "text.color": INK,
        "text.parse_math": False,  # a dollar in a label is a dollar
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 8.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.5,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "xtick.major.width": 0.7,
        "ytick.major.width": 0.7,
        "legend.frameon": False,
        "legend.fontsize": 8.0,
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "svg.hashsalt": "smoothbench",  # the same picture gets the same bytes
    }
)


def styled() -> AbstractContextManager[None]:
    """Apply the style for as long as a picture is drawn or saved."""
    return matplotlib.rc_context(dict(STYLE))


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure, inches, with its own canvas; no state is shared with pyplot."""
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def kind_colours(kinds: Sequence[str]) -> dict[str, str]:
    """Choose a colour for each kind of layer: its hue is the branch, and temporal ones are paler than spatial ones."""
    branches = list(dict.fromkeys(branch_of(kind) for kind in kinds))
    hues = {branch: COLOURS[i % len(COLOURS)] for i, branch in enumerate(branches)}
    return {
        kind: paler(hues[branch_of(kind)], TEMPORAL if kind.startswith("temporal_") else 1.0)
        for kind in kinds
    }


def branch_of(kind: str) -> str:
    """Return a kind without its dimension: `self_attn` of `temporal_self_attn`."""
    return kind.removeprefix("spatial_").removeprefix("temporal_")


def paler(colour: str, strength: float) -> str:
    """Return the colour as it looks on white paper, opaque: a grid must not show through."""
    red, green, blue = (1 - strength * (1 - channel) for channel in to_rgb(colour))
    return str(to_hex((red, green, blue)))


def baseline_family(frame: pd.DataFrame) -> str | None:
    """Return the family of the reference: the points without a cache."""
    families = frame.loc[frame["reference"].astype(bool), "family"]
    return str(families.iloc[0]) if len(families) else None


def family_styles(frame: pd.DataFrame, first: Sequence[str] = ()) -> dict[str, tuple[str, str]]:
    """Choose colour and marker of each family in order of appearance; the reference's own family is grey.

    Those of `first` choose before the others: up to 6 of them have 6 colours.
    """
    baseline = baseline_family(frame)
    families = list(dict.fromkeys(frame["family"]))
    others = [family for family in sorted(families, key=lambda name: name not in first) if family != baseline]
    styles = {
        family: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, family in enumerate(others)
    }
    return {family: styles.get(family, (BASELINE, "o")) for family in families}


def log_ticks(axis: Axis, low: float, high: float, most: int = 6) -> None:
    """Choose round numbers as the ticks of a logarithmic axis, also where it spans less than a decade."""
    ticks: list[float] = []
    for digits in ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 4, 6), (1, 2, 5), (1, 3), (1,)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= most:
            break
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.6g}"))
