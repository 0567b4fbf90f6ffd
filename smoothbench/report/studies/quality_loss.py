"""What a study calls the quality of a point: the difference to no cache, or the score where there is none."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from smoothbench.report.data.frame import higher_is_better, scores
from smoothbench.report.figures.style import MUTED
from smoothbench.report.tables.column import decimals_for, with_spread
from smoothbench.report.tables.point_tables import fidelity


def family(score: str) -> str:
    """Return what a score measures, without its encoder and its sample count: `fd` of `fd_nano@256`."""
    stem = score.partition("@")[0]
    return stem.rpartition("_")[0] or stem


def of_families(frame: pd.DataFrame, families: Sequence[str]) -> list[str]:
    """Return the scores of these families, in the order of the families."""
    return [score for wanted in families for score in scores(frame) if family(score) == wanted]


def column(frame: pd.DataFrame, score: str) -> str:
    """Return the column that says what was lost: the paired difference, for fidelity the score itself."""
    return score if score in fidelity(frame) else f"{score}.delta"


def title(frame: pd.DataFrame, score: str) -> str:
    """Return a score's name, and whether it stands for its difference."""
    return score if score in fidelity(frame) else f"{score} - no cache"


def values(rows: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return a column of the frame as float64 [rows]."""
    return rows[name].to_numpy(dtype=np.float64)


def cells(numbers: Sequence[float], spreads: Sequence[float], signed: bool = False) -> list[str]:
    """Write `value +- spread` in as many decimals as the usual spread allows."""
    spread, size = pd.Series(spreads, dtype=float), pd.Series(numbers, dtype=float).abs()
    digits = decimals_for(float(spread.median()), 2, float(size.median()))
    return [with_spread(*pair, digits, signed=signed) for pair in zip(numbers, spreads, strict=True)]


def head(axes: Axes, frame: pd.DataFrame, score: str) -> None:
    """Write title and direction of a panel about a score."""
    axes.set_title(title(frame, score), pad=5)
    better = "higher is better \u2191" if higher_is_better(frame, score) else "lower is better \u2193"
    axes.set_ylabel(better, color=MUTED)
