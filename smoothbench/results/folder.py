"""A results folder, loaded: all points, and those that may be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from smoothbench.errors import UsageError
from smoothbench.report.data import frame as records_frame
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.tables import two_points
from smoothbench.results.group import Group
from smoothbench.results.point import PointResult
from smoothbench.results.table import Table


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """The results of an experiment.

    `frame` has one row for each point, in the experiment's order; `groups` are the points that may be compared, the
    largest group first. Points of different models, seeds, references or kinds of device are never compared.
    """

    folder: Path
    frame: pd.DataFrame
    groups: tuple[Group, ...]

    def __repr__(self) -> str:
        return f"<Results of {self.folder}: {len(self.frame)} points, {len(self.groups)} group(s)>"

    def table(self, scores: Sequence[str] | None = None) -> Table:
        """Return the table of the largest group; see `Group.table`."""
        return self.groups[0].table(scores)

    def pareto(self, cost: str = "macs", scores: Sequence[str] | None = None) -> Figure:
        """Draw cost against scores of the largest group; see `Group.pareto`."""
        return self.groups[0].pareto(cost, scores)

    def point(self, name: str) -> PointResult:
        """Return a point by its name or point_id: schedule, curves, previews, scores, record.

        Raises UsageError, naming the choice, where no point or more than one is called so.
        """
        row = two_points.point_row(self.frame, name)
        return PointResult.read(self.folder, str(row["record"]), str(row["label"]))

    def compare(self, first: str, second: str) -> str:
        """Compare two points sample by sample on the same seeds: a line a score, with 95 % interval and p-value.

        Raises ValueError where a name is not one point's, where the seeds differ, or where a published copy has no
        per-sample scores.
        """
        return two_points.compare(self.folder, first, second)


def load(folder: str | Path) -> Results:
    """Read the records of a results folder, whether published or one of your own.

    Raises UsageError, in one line, for a folder that does not exist, holds no record, holds records of an earlier
    version, or has a file that cannot be read: numbers of an incomplete folder would pass for all of it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; results of yours lie in results/runs/NAME")
    try:
        frame = records_frame.load(folder)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from error
    if unread := frame.attrs["ignored"]:
        raise UsageError(
            f"{folder}: {len(unread)} of its files cannot be read ({unread[0]}): run the experiment again, or "
            "remove them"
        )
    return Results(folder, frame, tuple(Group(folder, group) for _, group in comparable_groups(frame)))
