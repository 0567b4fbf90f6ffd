"""Every point beside the uncached run and beside the best rival at its cost: a section of a report.

It answers three questions of a point with paired 95 % intervals. Against a fine run as reference: is it nearer to that
run than the uncached run is? Is its distance to real data not worse than the uncached run's, by a margin of 3 % of the
latter? How much nearer to the reference is it than the best other method that costs no more? An experiment's YAML names
it by `report: smoothbench.report.studies.against_uncached`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metrics.inference import Estimate, paired_difference
from metrics.score import Score
from smoothbench.report.data.frame import higher_is_better
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.studies.quality_loss import of_families
from smoothbench.report.studies.section import Section
from smoothbench.report.tables.column import decimals_for, with_spread
from smoothbench.report.tables.point_tables import measured
from smoothbench.report.tables.text import NONE, to_markdown
from smoothbench.report.tables.two_points import comparable, influences
from smoothbench.report.verdict.budgets import is_uncached

MARGIN = 0.03  # of the uncached run's distance to real data, by which a point's may be larger
ALLOWANCE = (
    0.02  # of the uncached MACs, which a rival may cost more: what skipped evaluations cost below the output
)
NEARNESS = ("psnr", "mel")  # families of scores, the first counts: how near samples are to the reference's
QUALITY = ("fd", "fid", "sfid", "kid")  # families of distances to real data
YES, NO, OPEN = "yes", "no", "open"
Influences = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Group:
    """The scored points of one table, the place of the uncached run among them, and its per-sample scores by place."""

    rows: pd.DataFrame
    uncached: int
    influences: Mapping[int, Influences]

    @property
    def is_fine(self) -> bool:
        """Whether the reference is a finer run than the uncached one."""
        return not bool(self.rows.at[self.uncached, "reference"])

    @property
    def points(self) -> pd.DataFrame:
        """All points but the reference, the uncached run and those of the same samples as another; dearest first."""
        others = (self.rows.index != self.uncached) & ~self.rows["reference"].astype(bool)
        shown = self.rows[others & ~self.rows["same_as"].astype(bool)]
        return shown.sort_values("share", ascending=False, kind="stable")

    def share(self, i: int) -> float:
        """The MACs of a point as a share of the uncached run's."""
        return float(self.rows.at[i, "share"] / self.rows.at[self.uncached, "share"])

    def difference(self, i: int, j: int, score: str) -> Estimate | None:
        """The paired difference of a score of two points; None where one of them lacks it, or it is another metric."""
        known = score in self.influences[i] and score in self.influences[j]
        if not known or not comparable(self.rows, i, j, score):
            return None
        a, b = (Score(float(self.rows.at[n, score]), self.influences[n][score]) for n in (i, j))
        return paired_difference(a, b)


def section(frame: pd.DataFrame) -> Section:
    """Compare all points of an experiment with its uncached run and their best rivals; empty without any."""
    lines: list[str] = []
    for name, group in comparable_groups(frame):
        table = against_uncached(group, Path(frame.attrs["folder"]))
        if table is not None:
            lines += [f"### Against no cache{f' ({name})' if name else ''}", "", to_markdown(table)]
    if lines:
        lines += [
            "Paired differences with 95 % intervals, not corrected for their number. *Rival*: to the other method, or"
            " solver with fewer steps, that is nearest to the reference at no more MACs, or up to"
            f" {100 * ALLOWANCE:.0f} % of the uncached MACs more. *Nearer*: to the fine run than the uncached run is;"
            " yes or no where the interval excludes 0, else open. *As good*: the distance to real data less the"
            f" uncached run's; yes where the interval ends below {100 * MARGIN:.0f} % of that, no where it begins"
            " above, else open, and neither where the interval of the uncached run's distance holds 0.",
            "",
        ]
    return Section(lines)


def against_uncached(frame: pd.DataFrame, folder: Path) -> pd.DataFrame | None:
    """Return a row for each point and a column for each question; None without an uncached run or other points.

    ValueError where per-sample scores are missing or damaged.
    """
    group = _group(frame, folder)
    if group is None or not len(group.points):
        return None
    points = group.points
    cells = {
        "policy": points["label"].tolist(),
        "MACs (%)": [with_spread(100 * group.share(i), np.nan, 1) for i in points.index],
    }
    for score in of_families(frame, NEARNESS)[:1]:
        higher = higher_is_better(group.rows, score)
        numbers = [float(points.at[i, score]) for i in points.index]
        cells[score] = [with_spread(number, np.nan, 2) for number in numbers]
        cells[f"{score}, rival"] = [_against_rival(group, i, score, higher) for i in points.index]
        if group.is_fine:
            cells[f"{score}, nearer"] = [_nearer(group, i, score, higher) for i in points.index]
    for score in of_families(frame, QUALITY):
        if not higher_is_better(group.rows, score):
            cells[f"{score}, as good"] = [_as_good(group, i, score) for i in points.index]
    return pd.DataFrame(cells, dtype=object)


def nearest_rival(group: Group, i: int, score: str, higher: bool) -> int | None:
    """Return the place of the point of another method that is nearest to the reference at no more MACs.

    Points whose families begin alike, up to a comma, are of one method.
    """
    methods = group.rows["family"].str.partition(",")[0]
    places = [
        j
        for j in group.points.index
        if methods[j] != methods[i]
        and group.share(j) <= group.share(i) + ALLOWANCE
        and np.isfinite(group.rows.at[j, score])
    ]
    return (max if higher else min)(places, key=lambda j: group.rows.at[j, score], default=None)


def _group(frame: pd.DataFrame, folder: Path) -> Group | None:
    """The scored points of a comparable group; None where it has no cached points, or not their uncached run."""
    rows = measured(frame)
    rows = rows[rows["status.quality"] == "done"].reset_index(drop=True)
    uncached = is_uncached(rows)
    runs = rows.loc[~uncached, ["solver", "steps"]]
    if not len(runs):
        return None
    solver, steps = runs.value_counts().index[0]
    same = uncached & (rows["solver"] == solver) & (rows["steps"] == steps)
    if not same.any():
        return None
    place = int(rows.index[same][0])
    return Group(rows, place, {i: influences(folder, rows.loc[i]) for i in rows.index})


def _against_rival(group: Group, i: int, score: str, higher: bool) -> str:
    rival = nearest_rival(group, i, score, higher)
    estimate = None if rival is None else group.difference(i, rival, score)
    return NONE if estimate is None else f"{_written(estimate)} ({group.rows.at[rival, 'label']})"


def _nearer(group: Group, i: int, score: str, higher: bool) -> str:
    estimate = group.difference(i, group.uncached, score)
    if estimate is None:
        return NONE
    low, high = (estimate.low, estimate.high) if higher else (-estimate.high, -estimate.low)
    return f"{_written(estimate)} {YES if low > 0 else NO if high < 0 else OPEN}"


def _as_good(group: Group, i: int, score: str) -> str:
    estimate = group.difference(i, group.uncached, score)
    if estimate is None:
        return NONE
    uncached = group.rows.loc[group.uncached]
    if not uncached[f"{score}.low"] > 0:  # a share of what may be 0 is no margin
        return _written(estimate)
    margin = MARGIN * float(uncached[score])
    return f"{_written(estimate)} {YES if estimate.high <= margin else NO if estimate.low > margin else OPEN}"


def _written(estimate: Estimate) -> str:
    half = estimate.high - estimate.value
    return with_spread(estimate.value, half, decimals_for(half, 2, abs(estimate.value)), signed=True)
