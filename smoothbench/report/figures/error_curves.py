"""How fast each kind of layer changes along the trajectory, and what each threshold lets pass."""

import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.special import stdtrit

from smoothbench.caching import ErrorCurves
from smoothbench.report.data.distinctions import write_title
from smoothbench.report.figures.style import COLOURS, LOG_FROM, MUTED, log_ticks, new_figure, styled
from smoothbench.storage.record_parts import CalibrationRef, RecordedSchedule

PANEL = (4.6, 3.3)  # inches
COLUMNS = 3
LINES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
LETTERS = 15  # of the explanation in an inch, about
APART = 0.036  # of the panel, from the name of a threshold to the next


def error_curves(part: pd.DataFrame, folder: Path) -> Figure:
    """Draw relative L1 change against the evaluation, one panel a kind, one line a lag (SmoothCache, Figure 2).

    Lines are means over the calibration samples, bands their 95 % t intervals; thin lines are the thresholds
    of the points planned on this calibration. Of several calibrations the one of the reference's solver
    steps with the most samples is drawn. ValueError if there is no file of any.
    """
    chosen = _chosen(part, folder)
    calibration, curves = chosen["calibration"], ErrorCurves.load(folder / chosen["calibration"].file)
    kinds = list(dict.fromkeys(site.kind for site in curves.trajectory.sites))
    columns = min(COLUMNS, len(kinds))
    lines = math.ceil(len(kinds) / columns)
    with styled():
        figure = new_figure(PANEL[0] * columns + 1.9, PANEL[1] * lines + 0.8)
        figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.07)
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axes in grid[len(kinds) :]:
            axes.set_axis_off()
        alphas = thresholds(part, calibration)
        drawn = [_draw(axes, curves, kind) for axes, kind in zip(grid, kinds, strict=False)]
        _scale(grid[0], np.concatenate([*drawn, [alpha for alpha in alphas if alpha > 0]]))
        for axes in grid[: len(kinds)]:
            _draw_thresholds(axes, alphas)
        for axes in grid[: len(kinds) : columns]:
            axes.set_ylabel(f"relative L1 change{', log scale' * (axes.get_yscale() == 'log')}", color=MUTED)
        write_title(figure, part, _title(chosen), "model", "solver", "steps")
        explanation = _explanation(curves, kinds).splitlines()
        letters = round(figure.get_figwidth() * LETTERS)
        figure.supxlabel("\n".join(textwrap.fill(line, letters) for line in explanation), fontsize=8.0)
        figure.legend(handles=_legend(curves, bool(alphas)), loc="outside right center")
    return figure


def calibrated(part: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return the rows that were planned on error curves whose file is there."""
    there = [
        isinstance(each, CalibrationRef) and each.holds_curves and (folder / each.file).is_file()
        for each in part["calibration"]
    ]
    return part[np.array(there, dtype=bool)]


def by_sample(curves: ErrorCurves, kind: str, lag: int = 1) -> NDArray[np.float64]:
    """Return relative changes of each sample, averaged over the blocks of a kind, [sample, evaluation]."""
    sites = [i for i, site in enumerate(curves.trajectory.sites) if site.kind == kind]
    return np.asarray(curves.per_sample()[:, sites, :, lag - 1].mean(1).numpy(), dtype=np.float64)


def thresholds(part: pd.DataFrame, calibration: CalibrationRef) -> list[float]:
    """Return the distinct alphas of the points that were planned on this calibration, ascending."""
    calibrations = [
        isinstance(each, CalibrationRef) and each.digest == calibration.digest for each in part["calibration"]
    ]
    alphas = [alpha_of(schedule) for schedule in part["schedule"][np.array(calibrations, dtype=bool)]]
    return sorted({alpha for alpha in alphas if not math.isnan(alpha)})


def alpha_of(schedule: RecordedSchedule | None) -> float:
    """Return the threshold that a schedule was planned with; NaN where its policy has none, or there is no schedule."""
    alpha = schedule.meta.get("alpha") if schedule else None
    return float(alpha) if isinstance(alpha, int | float) else math.nan


def _chosen(part: pd.DataFrame, folder: Path) -> pd.Series:
    """The row whose calibration is drawn."""
    rows = calibrated(part, folder)
    if rows.empty:
        raise ValueError(f"no point has its error curves in {folder}/curves: run the experiment first")
    reference = part[part["reference"].astype(bool)]
    like = rows.iloc[:0]
    if len(reference):
        same = (rows["solver"] == reference["solver"].iloc[0]) & (rows["steps"] == reference["steps"].iloc[0])
        like = rows[same]
    rows = like if len(like) else rows
    return max((row for _, row in rows.iterrows()), key=lambda row: row["calibration"].num_samples)


def _draw(axes: Axes, curves: ErrorCurves, kind: str) -> NDArray[np.float64]:
    """Draw the lines and bands of a kind; return the values of the lines."""
    axes.set_title(kind.replace("_", " "), pad=5)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, steps=[1, 2, 5, 10]))
    drawn = [np.empty(0)]
    for lag in range(1, curves.k_max + 1):
        values = by_sample(curves, kind, lag)[:, lag:]  # before that there is nothing so long ago
        if values.shape[1] == 0:
            continue
        evals = np.arange(lag, lag + values.shape[1])
        mean, half = values.mean(0), _half_width(values)
        colour, dashes = _looks(lag)
        axes.fill_between(evals, mean - half, mean + half, color=colour, alpha=0.18, linewidth=0, zorder=2)
        axes.plot(evals, mean, color=colour, linestyle=dashes, linewidth=1.2, zorder=3)
        drawn.append(mean)
    return np.concatenate(drawn)


def _scale(axes: Axes, values: NDArray[np.float64]) -> None:
    """The common change axis, logarithmic where values span decades: the last evaluations tower."""
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > LOG_FROM * low:
        low, high = low / 1.2, high * 1.2
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        log_ticks(axes.yaxis, low, high)
    else:
        axes.set_ylim(0, 1.08 * high or 1.0)


def _half_width(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the 95 % t interval of the mean over the first axis; 0 where one sample shows no spread."""
    count = len(values)
    if count < 2:
        return np.zeros(values.shape[1])
    quantile = float(stdtrit(count - 1, 0.975))
    return np.asarray(quantile * values.std(axis=0, ddof=1) / math.sqrt(count))


def _draw_thresholds(axes: Axes, alphas: list[float]) -> None:
    """Thin lines across the panel, named on its right where the names do not collide."""
    low, high = axes.get_ylim()
    last = -math.inf
    for alpha in (each for each in alphas if low <= each <= high):
        axes.axhline(alpha, color=MUTED, linewidth=0.5, alpha=0.7, zorder=1)
        height = axes.transAxes.inverted().transform(axes.transData.transform((0, alpha)))[1]
        if height - last >= APART:
            axes.text(
                1.008, alpha, f"{alpha:.3g}", transform=axes.get_yaxis_transform(), fontsize=6.2,
                color=MUTED, va="center",
            )  # fmt: skip
            last = height


def _looks(lag: int) -> tuple[str, Any]:
    return COLOURS[(lag - 1) % len(COLOURS)], LINES[(lag - 1) % len(LINES)]


def _legend(curves: ErrorCurves, thresholds_drawn: bool) -> list[Line2D]:
    handles = []
    for lag in range(1, curves.k_max + 1):
        colour, dashes = _looks(lag)
        handles.append(Line2D([], [], color=colour, linestyle=dashes, linewidth=1.4, label=f"lag {lag}"))
    if len(curves.l1) > 1:
        handles.append(Line2D([], [], color=MUTED, linewidth=6, alpha=0.25, label="95 % of the mean"))
    if thresholds_drawn:
        handles.append(Line2D([], [], color=MUTED, linewidth=0.6, label="thresholds alpha of the points"))
    return handles


def _title(row: pd.Series) -> str:
    calibration: CalibrationRef = row["calibration"]
    draw = f", draw {calibration.draw}" if calibration.draw else ""
    count = calibration.num_samples
    which = f"{count} sample{'s' if count > 1 else ''} of seed block {calibration.seed}{draw}"
    return f"{row['model']}, {row['solver']}, {row['steps']} steps: calibration on {which}"


def _explanation(curves: ErrorCurves, kinds: list[str]) -> str:
    """What is compared with the thresholds is another average of the same sums: how far apart they are."""
    gaps = []
    for kind in kinds:
        for lag in range(1, min(curves.k_max, curves.trajectory.evals - 1) + 1):
            means = by_sample(curves, kind, lag)[:, lag:].mean(0)
            published = np.asarray(curves.by_kind(kind)[lag:, lag - 1].numpy())
            gaps.append(float(np.max(np.abs(means - published))))
    text = (
        "evaluation of the denoiser, in order of execution: noisiest first; mean over the blocks of a kind."
    )
    return (
        f"{text}\nSchedules are planned on one ratio over all samples: at most {max(gaps, default=0.0):.2g}"
        " from the lines drawn."
    )
