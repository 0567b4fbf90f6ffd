"""How many calibration samples a schedule needs: the section of the experiment `calibration_size`."""

from collections import Counter
from collections.abc import Hashable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator
from numpy.typing import NDArray
from scipy.stats import binomtest

from smoothbench.report.data.distinctions import distinction, write_title
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.figures.error_curves import alpha_of
from smoothbench.report.figures.style import COLOURS, MARKERS, MUTED, new_figure, styled
from smoothbench.report.studies import quality_loss
from smoothbench.report.studies.section import Section
from smoothbench.report.tables.point_tables import fidelity
from smoothbench.report.tables.text import to_markdown
from smoothbench.storage.record_parts import CalibrationRef

PICTURE = "calibration_size"  # file, in a folder with several tables before the name of each
DRAWN = ("psnr", "fd")  # families of scores in the picture
LISTED = ("fd", "fd_inf")  # beside all fidelity scores in the table
PANEL = (3.1, 2.9)  # inches
COLUMNS = 4


def section(frame: pd.DataFrame) -> Section:
    """Return the study as a section of the report: a table and a picture for each comparable group of points."""
    groups = [(name, group) for name, group in comparable_groups(frame) if not points(group).empty]
    lines = [line for _, group in groups for line in markdown(group)]
    pictures = {"-".join(filter(None, [PICTURE, name])): partial(picture, group) for name, group in groups}
    return Section(lines, pictures, summarises=True)


def points(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the calibrated points, with columns `alpha`, `size`, `draw` and `bits` (what the schedule computes)."""
    rows = frame[frame["schedule"].notna()]
    rows = rows[np.array([isinstance(each, CalibrationRef) for each in rows["calibration"]], dtype=bool)]
    rows = rows.assign(
        alpha=[alpha_of(each) for each in rows["schedule"]],
        size=[each.num_samples for each in rows["calibration"]],
        draw=[each.draw for each in rows["calibration"]],
        bits=[each.rows for each in rows["schedule"]],
    )
    return rows.sort_values(["alpha", "size", "draw"], kind="stable").dropna(subset="alpha")


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each alpha and size, over the draws of the calibration.

    Columns: `alpha`, `size`, `draws`, `schedules` (distinct ones), `modal` (how many draws have the schedule
    that is the most frequent at the largest size), `share.low`, `share.high`, and for each score `.mean`,
    `.sd` over draws (ddof 1), `.se` of one draw over its samples (median).
    """
    study = points(frame)
    table_rows = []
    for alpha, rows in study.groupby("alpha"):
        modal = _mode(rows.loc[rows["size"] == rows["size"].max(), "bits"])
        table_rows += [
            {"alpha": alpha, "size": size} | _row(frame, draws, modal) for size, draws in rows.groupby("size")
        ]
    return pd.DataFrame(table_rows)


def markdown(frame: pd.DataFrame) -> list[str]:
    """Return the study of one comparable group as lines of Markdown; empty where no point was calibrated."""
    if points(frame).empty:
        return []
    rest = distinction(frame.iloc[0])
    lines = [
        f"## Calibration size{': ' * bool(rest) + rest}",
        "",
        "SmoothCache was calibrated anew on other samples, as often as there are draws of each size. Modal is"
        " the share of draws with the schedule that is the most frequent one at the largest size (which"
        " counts itself there). Scores are mean \u00b1 standard deviation over draws, all on the same"
        " evaluation seeds; in brackets the standard error of one draw over its samples. Scores with `- no"
        " cache` are paired differences.",
        "",
    ]
    results = table(frame)
    for alpha, rows in results.groupby("alpha"):
        lines += [f"### alpha = {alpha:g}", "", to_markdown(_strings(frame, rows))]
    return lines


def picture(frame: pd.DataFrame) -> Figure:
    """Draw share of draws with the modal schedule, budget, and quality over draws, against calibration size."""
    study, results = points(frame), table(frame)
    chosen = quality_loss.of_families(frame, DRAWN)
    count = 2 + len(chosen)
    columns = min(COLUMNS, count)
    lines = -(-count // columns)
    with styled():
        figure = new_figure(PANEL[0] * columns + 0.2, PANEL[1] * lines + 0.75)
        figure.set_layout_engine("constrained", h_pad=0.07, w_pad=0.07)
        grid = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes in grid[count:]:
            axes.set_axis_off()
        _draw_modal(grid[0], results)
        _draw_strips(grid[1], study, study["share"] * 100)
        grid[1].set_title("share of the reference's MACs (%)", pad=5)
        for axes, score in zip(grid[2:], chosen, strict=False):
            quality_loss.head(axes, frame, score)
            _draw_strips(axes, study, study[quality_loss.column(frame, score)])
        for axes in grid[:count]:
            _scale(axes, sorted(set(study["size"])))
        first = frame.iloc[0]
        title = f"{first['model']}, {first['experiment']}: the same method calibrated on other samples"
        write_title(figure, frame, title, "model", "experiment")
        figure.supxlabel(
            "calibration samples (log scale); a marker a draw, lines through means", fontsize=8.5
        )
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center")
    return figure


def _row(frame: pd.DataFrame, draws: pd.DataFrame, modal: Hashable) -> dict[str, Any]:
    row = {
        "draws": len(draws),
        "schedules": draws["bits"].nunique(),
        "modal": int((draws["bits"] == modal).sum()),
        "share.low": draws["share"].min(),
        "share.high": draws["share"].max(),
    }
    for score in _listed(frame):
        name = quality_loss.column(frame, score)
        lost = draws[name].dropna()
        row |= {f"{score}.mean": lost.mean(), f"{score}.sd": lost.std(ddof=1)}
        row[f"{score}.se"] = draws[f"{name}.se"].median()
    return row


def _listed(frame: pd.DataFrame) -> list[str]:
    return [*fidelity(frame), *quality_loss.of_families(frame, LISTED)]


def _mode(schedules: pd.Series) -> Hashable:
    """The most frequent; of equally frequent ones the one that was drawn first."""
    return Counter(schedules).most_common(1)[0][0]


def _strings(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    strings = {
        "samples": [str(size) for size in rows["size"]],
        "draws": [str(draws) for draws in rows["draws"]],
        "schedules": [str(schedules) for schedules in rows["schedules"]],
        "modal": [f"{hits} of {draws}" for hits, draws in zip(rows["modal"], rows["draws"], strict=True)],
        "share of MACs (%)": [
            f"{100 * low:.1f} to {100 * high:.1f}"
            for low, high in zip(rows["share.low"], rows["share.high"], strict=True)
        ],
    }
    for score in _listed(frame):
        signed = quality_loss.column(frame, score) != score
        texts = quality_loss.cells(list(rows[f"{score}.mean"]), list(rows[f"{score}.sd"]), signed)
        strings[quality_loss.title(frame, score)] = [
            f"{cell} ({se:.2g})" for cell, se in zip(texts, rows[f"{score}.se"], strict=True)
        ]
    return pd.DataFrame(strings, dtype=object)


def _alphas(rows: pd.DataFrame) -> Iterator[tuple[float, pd.DataFrame, str, str, float]]:
    """Each alpha with its rows, colour, marker and the factor that keeps its markers beside the others'."""
    alphas = sorted(set(rows["alpha"]))
    for i, alpha in enumerate(alphas):
        aside = 1.09 ** (i - (len(alphas) - 1) / 2)
        yield alpha, rows[rows["alpha"] == alpha], COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], aside


def _draw_modal(axes: Axes, results: pd.DataFrame) -> None:
    axes.set_title("draws with the modal schedule (%)", pad=5)
    for alpha, rows, colour, marker, aside in _alphas(results):
        shares = 100 * quality_loss.values(rows, "modal") / quality_loss.values(rows, "draws")
        axes.errorbar(
            quality_loss.values(rows, "size") * aside, shares, yerr=np.abs(_wilson(rows) - shares), color=colour,
            marker=marker, markersize=5, markeredgecolor="white", linewidth=1.2, elinewidth=0.8,
            label=f"alpha = {alpha:g}",
        )  # fmt: skip
    axes.set_ylim(-4, 104)
    axes.set_ylabel("95 % intervals (Wilson)", color=MUTED)


def _wilson(rows: pd.DataFrame) -> NDArray[np.float64]:
    """95 % intervals of the modal shares, per cent, [2, rows]."""
    pairs = zip(rows["modal"], rows["draws"], strict=True)
    intervals = [binomtest(int(hits), int(draws)).proportion_ci(method="wilson") for hits, draws in pairs]
    return 100 * np.array([[each.low for each in intervals], [each.high for each in intervals]])


def _draw_strips(axes: Axes, study: pd.DataFrame, quantity: pd.Series) -> None:
    """A marker for each draw, side by side, and a line through the means."""
    study = study.assign(quantity=quantity)
    for _, rows, colour, marker, aside in _alphas(study):
        place = rows["size"] * aside * 1.012 ** (rows["draw"] - rows["draw"].median())
        axes.scatter(
            place, rows["quantity"], s=14, marker=marker, color=colour, alpha=0.45, linewidths=0, zorder=3
        )
        means = rows.groupby("size")["quantity"].mean()
        axes.plot(np.asarray(means.index) * aside, means, color=colour, linewidth=1.2, zorder=2)


def _scale(axes: Axes, sizes: list[int]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(min(sizes) / 1.35, max(sizes) * 1.35)
