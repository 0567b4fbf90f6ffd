"""Whether settings whose error curves differ between samples lose more: the section of `calibration_variance`."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy.stats import rankdata

from smoothbench.report.data.distinctions import distinction
from smoothbench.report.figures.labels import (
    Label,
    bar_boxes,
    draw_labels,
    line_points,
    marker_boxes,
    settle_layout,
)
from smoothbench.report.figures.style import COLOURS, MARKERS, MUTED, new_figure, styled
from smoothbench.report.studies import quality_loss
from smoothbench.report.studies.section import Section
from smoothbench.report.tables.text import to_markdown

PICTURE = "calibration_variance"  # file
DRAWN = ("psnr", "dist", "fd")  # families of scores
PANEL = (3.3, 2.7)  # inches
PERMUTATIONS = 20_000
WITHIN = 0.1  # of the reference's MACs: how far a rival's budget may be away


def section(frame: pd.DataFrame) -> Section:
    """Return the study as a section of the report: a table for each budget, and one picture of all settings."""
    pictures = {} if points(frame).empty else {PICTURE: partial(picture, frame)}
    return Section(markdown(frame), pictures, summarises=True)


def points(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the calibrated points, with columns `setting`, `spread` (of their error curves) and `rival`.

    `rival` is the row of the uncalibrated caching point of the same setting and predictor whose budget is the
    next above the point's, or -1.
    """
    rows = frame[frame["status.quality"] == "done"]
    spreads = [each.spread if each else None for each in rows["calibration"]]
    chosen = rows[np.array([spread is not None for spread in spreads], dtype=bool)]
    chosen = chosen.assign(
        setting=[_setting(row) for _, row in chosen.iterrows()],
        spread=[float(each.spread) for each in chosen["calibration"]],
        rival=[_rival(row, rows[~rows.index.isin(chosen.index)]) for _, row in chosen.iterrows()],
    )
    return chosen


def markdown(frame: pd.DataFrame) -> list[str]:
    """Return the study as lines of Markdown; empty where no point was calibrated."""
    study = points(frame)
    if study.empty:
        return []
    lines = [
        "## Calibration variance and quality",
        "",
        "Spread is the mean, over kinds and over evaluations from the second to the last but one, of the"
        " coefficient of variation over calibration samples of the lag-1 relative L1 change (each sample's"
        " averaged over the blocks of a kind). Scores with `- no cache` are paired differences to the"
        " setting's own reference, \u00b1 half the 95 % interval. Rank correlations are over settings; p is"
        f" two-sided, of {PERMUTATIONS} seeded permutations, not corrected for their number.",
        "",
    ]
    for budget, rows in study.groupby("label", sort=False):
        rivals = frame.loc[rows.loc[rows["rival"] >= 0, "rival"]]
        lines += [
            f"### {budget}",
            "",
            to_markdown(_strings(frame, rows.sort_values("spread", kind="stable"))),
        ]
        for score in quality_loss.of_families(frame, DRAWN):
            name = quality_loss.column(frame, score)
            line = f"- {quality_loss.title(frame, score)}: {correlation(rows['spread'], rows[name])}"
            if len(rivals):
                paired = rows[rows["rival"] >= 0]
                other = correlation(paired["spread"], frame.loc[paired["rival"], name])
                line += f"; of the uncalibrated rival at the same budget: {other}"
            lines.append(line)
        lines.append("")
    return lines


def picture(frame: pd.DataFrame) -> Figure:
    """Draw spread of the curves against quality lost: a row of panels a budget, a column a score."""
    study = points(frame)
    budgets = list(study.groupby("label", sort=False))
    chosen = quality_loss.of_families(frame, DRAWN)
    looks = _looks(study)
    with styled():
        figure = new_figure(PANEL[0] * len(chosen) + 1.9, PANEL[1] * len(budgets) + 0.9)
        figure.set_layout_engine("constrained", h_pad=0.08, w_pad=0.07)
        grid = figure.subplots(len(budgets), len(chosen), squeeze=False, sharex=True)
        for line, (budget, rows) in zip(grid, budgets, strict=True):
            for axes, score in zip(line, chosen, strict=True):
                _draw(axes, frame, rows, score, looks)
            line[0].set_ylabel(f"{budget}\n{line[0].get_ylabel()}", color=MUTED)
        first = frame.iloc[0]
        title = f"{first['model']}, {first['experiment']}: do settings whose curves spread lose more?"
        figure.suptitle(title, x=0.012, ha="left", fontsize=10.5, fontweight="bold")
        text = "spread of the error curves between calibration samples (coefficient of variation, lag 1)"
        figure.supxlabel(text, fontsize=8.5)
        figure.legend(handles=_legend(looks, bool((study["rival"] >= 0).any())), loc="outside right center")
        settle_layout(figure)  # labels need final positions
        for line, (_, rows) in zip(grid, budgets, strict=True):
            for axes, score in zip(line, chosen, strict=True):
                _name(axes, rows, quality_loss.column(frame, score))
    return figure


def correlation(x: pd.Series, y: pd.Series) -> str:
    """Say Spearman's rho of two columns in one phrase, with its permutation p."""
    pairs = np.array([x.to_numpy(dtype=np.float64), y.to_numpy(dtype=np.float64)])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    rho, p_value = spearman(*pairs)
    if np.isnan(rho):
        return f"no correlation (n = {pairs.shape[1]})"
    return f"rho = {rho:+.2f}, p = {p_value:.2g} (n = {pairs.shape[1]})"


def spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return Spearman's rank correlation and its two-sided p by permutation; NaN below 3 pairs or without spread."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan"), float("nan")
    ranks = np.stack([rankdata(x), rankdata(y)])
    first, second = (ranks - ranks.mean(axis=1, keepdims=True)) / ranks.std(axis=1, keepdims=True)
    rho = float(first @ second / len(x))
    shuffled = np.random.default_rng(0).permuted(np.tile(first, (PERMUTATIONS, 1)), axis=1) @ second / len(x)
    extreme = int((np.abs(shuffled) >= abs(rho) - 1e-12).sum())
    return rho, (1 + extreme) / (1 + PERMUTATIONS)


def _setting(row: pd.Series) -> str:
    guidance = "" if pd.isna(row["guidance"]) else f", guidance {row['guidance']:g}"
    rest = distinction(row, "solver", "steps", "guidance")
    return f"{row['solver']}, {row['steps']} steps{guidance}" + (f", {rest}" if rest else "")


def _rival(row: pd.Series, others: pd.DataFrame) -> int:
    """Index of the rival at the budget; the first where several spend the same."""
    skips = ~others["reference"].astype(bool) & (others["steps"] == row["steps"])
    same = (others["reference_id"] == row["reference_id"]) & (others["predictor"] == row["predictor"])
    dearer = others["share"] - row["share"]
    fitting = dearer[skips & same & (dearer >= -1e-9) & (dearer <= WITHIN)]
    return -1 if fitting.empty else int(fitting.idxmin())


def _strings(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    strings = {
        "setting": list(rows["setting"]),
        "spread": [f"{value:.3f}" for value in rows["spread"]],
        "share of MACs (%)": [f"{100 * share:.1f}" for share in rows["share"]],
    }
    rivals = [frame.loc[index] if index >= 0 else None for index in rows["rival"]]
    if any(rival is not None for rival in rivals):
        strings["rival"] = [_named(rival) for rival in rivals]
    for score in quality_loss.of_families(frame, DRAWN):
        name, title = quality_loss.column(frame, score), quality_loss.title(frame, score)
        signed = name != score
        strings[title] = quality_loss.cells(list(rows[name]), _halves(rows, name), signed)
        if "rival" in strings:
            rival_rows = frame.reindex(rows["rival"])
            strings[f"{title}, rival"] = quality_loss.cells(
                list(rival_rows[name]), _halves(rival_rows, name), signed
            )
    return pd.DataFrame(strings, dtype=object)


def _named(rival: pd.Series | None) -> str:
    return "-" if rival is None else f"{rival['label']} ({100 * rival['share']:.1f} %)"


def _halves(rows: pd.DataFrame, name: str) -> list[float]:
    return list((rows[f"{name}.high"] - rows[f"{name}.low"]) / 2)


def _looks(study: pd.DataFrame) -> dict[str, dict[Any, str]]:
    """A colour for each solver and a marker for each guidance."""
    solvers, scales = dict.fromkeys(study["solver"]), sorted(set(study["guidance"].fillna(0.0)))
    return {
        "solver": dict(zip(solvers, COLOURS * len(solvers), strict=False)),
        "guidance": dict(zip(scales, MARKERS * len(scales), strict=False)),
    }


def _draw(axes: Axes, frame: pd.DataFrame, rows: pd.DataFrame, score: str, looks: dict[str, Any]) -> None:
    quality_loss.head(axes, frame, score)
    name = quality_loss.column(frame, score)
    for _, row in rows.iterrows():
        colour = looks["solver"][row["solver"]]
        marker = looks["guidance"][0.0 if pd.isna(row["guidance"]) else row["guidance"]]
        bars = [[row[name] - row[f"{name}.low"]], [row[f"{name}.high"] - row[name]]]
        axes.errorbar(
            row["spread"], row[name], yerr=bars, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.6
        )
        axes.scatter(
            row["spread"], row[name], s=30, marker=marker, color=colour, edgecolors="white", linewidths=0.5,
            zorder=3,
        )  # fmt: skip
        if row["rival"] >= 0:
            axes.scatter(
                row["spread"], frame.loc[row["rival"], name], s=24, marker=marker, facecolors="none",
                edgecolors=colour, linewidths=0.8, alpha=0.6, zorder=2,
            )  # fmt: skip
    axes.margins(x=0.12, y=0.12)
    axes.set_xlabel(correlation(rows["spread"], rows[name]), color=MUTED)


def _name(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    """The number of steps beside a marker, where there is room."""
    rows = rows[rows[name].notna()]
    boxes = marker_boxes(axes, zip(rows["spread"], rows[name], strict=True))
    x, low, high = (quality_loss.values(rows, each) for each in ("spread", f"{name}.low", f"{name}.high"))
    boxes += bar_boxes(axes, x, x, low, high)
    labels = [Label(row["spread"], row[name], str(row["steps"]), MUTED) for _, row in rows.iterrows()]
    draw_labels(axes, labels, boxes, line_points(axes))


def _legend(looks: dict[str, Any], rivals: bool) -> list[Line2D]:
    def mark(label: str, colour: str, marker: str, face: str | None = None) -> Line2D:
        return Line2D([], [], linestyle="", color=colour, marker=marker, markerfacecolor=face, label=label)

    def entries() -> Iterator[Line2D]:
        for solver, colour in looks["solver"].items():
            yield mark(solver, colour, "o")
        for guidance, marker in looks["guidance"].items():
            yield mark(f"guidance {guidance:g}", MUTED, marker)
        if rivals:
            yield mark("open: the uncalibrated\nrival at its budget", MUTED, "o", "none")
        yield mark("numbers: steps", MUTED, "")

    return list(entries())
