"""Points of one experiment that may share a table: tables, pictures and checks of their errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from smoothbench.errors import UsageError
from smoothbench.report.data.frame import higher_is_better, scores
from smoothbench.report.document import BRIEF, group_title
from smoothbench.report.figures import contact_sheet, pareto_front, pareto_plot, schedule_raster
from smoothbench.report.tables import pairing_gain
from smoothbench.report.tables.latex import to_latex
from smoothbench.report.tables.point_tables import brief_columns, by_turns, fidelity_columns, numbers
from smoothbench.results.table import Table


@dataclass(frozen=True, eq=False, repr=False)
class Group:
    """Points that may be compared: the same model, samples, reference and kind of device.

    `frame` has one row a point, in the experiment's order; docs/results.md lists its columns.
    """

    folder: Path
    frame: pd.DataFrame

    def __repr__(self) -> str:
        return f"<{self.title}: {len(self.frame)} points>"

    @property
    def title(self) -> str:
        """What the points have in common: model, solver, steps, guidance and number of samples."""
        return group_title(self.frame)

    @property
    def scores(self) -> list[str]:
        """Names of the scores, the plainest first: `fd_nano@256` is a metric and a sample count."""
        return scores(self.frame)

    @property
    def headline(self) -> list[str]:
        """Names of the scores, quality and fidelity by turns: the first few say most."""
        return by_turns(self.frame)

    def higher_is_better(self, score: str) -> bool:
        """Say in which direction a score is better. Raises UsageError for a score that no point has."""
        self._check_scores([score])
        return higher_is_better(self.frame, score)

    def table(self, scores: Sequence[str] | None = None) -> Table:
        """Return costs and scores, each score with half its 95 % interval and its paired difference to no cache.

        Args: scores, names of scores; None for the first four of `headline`. Raises UsageError for an unknown one.
        """
        names = self.headline[:BRIEF] if scores is None else self._check_scores(scores)
        return Table.of(brief_columns(self.frame, names))

    def fidelity_table(self, scores: Sequence[str] | None = None) -> Table:
        """Return how far samples are from the uncached ones of the same seeds: means, and bounds of the worst.

        Args: scores, names of scores; None for all. Raises UsageError for an unknown one.
        """
        return Table.of(fidelity_columns(self._with_scores(scores)))

    def pareto(self, cost: str = "macs", scores: Sequence[str] | None = None) -> Figure:
        """Draw every score against cost, a panel a score, with 95 % intervals and the Pareto front.

        Args: cost, `macs` (per sample) or `latency` (seconds a batch, measured); scores, names of scores, None for
        all. Raises UsageError for an unknown score and ValueError where the cost was not measured.
        """
        return pareto_plot.pareto(self._with_scores(scores), cost)

    def front(self, score: str, cost: str = "macs") -> pd.DataFrame:
        """Return the rows of `frame` that no other point beats in both cost and score.

        Args: cost, a column of `frame`. Raises UsageError for a score or a cost that no point has.
        """
        better = self.higher_is_better(score)
        if cost not in self.frame or not pd.api.types.is_numeric_dtype(self.frame[cost]):
            raise UsageError(
                f"{self.folder}: no cost {cost}: take macs, share, or latency where it was measured"
            )
        return self.frame.loc[pareto_front.front(self.frame[cost], self.frame[score], better)]

    def schedules(self, names: Sequence[str] | None = None) -> Figure:
        """Draw which site is computed at which evaluation, a panel for each distinct schedule.

        Args: names, points by name, None for all. Raises UsageError for an unknown name.
        """
        return schedule_raster.schedules(self._points(names))

    def contact_sheet(self, names: Sequence[str] | None = None) -> Figure:
        """Draw preview images of the same seeds, a row for each set of samples.

        Args: names, points by name, None for all. Raises UsageError for an unknown name, ValueError without previews.
        """
        return contact_sheet.contact_sheet(self._points(names), self.folder / "previews")

    def csv(self) -> str:
        """Return all numbers at full precision as CSV: the bytes of the report's table.csv."""
        return str(numbers(self.frame).to_csv(index=False, lineterminator="\n"))

    def latex(self, scores: Sequence[str] | None = None) -> str:
        """Return the table for a paper as a `tabular` that needs booktabs: the bytes of the report's table.tex.

        Args: scores, names of scores, None for the first three of `headline`.
        """
        return to_latex(self.frame, scores if scores is None else self._check_scores(scores))

    def pairing_gain(self) -> pd.DataFrame:
        """Return how much tighter paired differences are than unpaired ones, a row a score.

        Columns: `score`, `gain` (ratio of standard errors, median over points), `least`, `most`, `points`.
        """
        return pairing_gain.pairing_gain(self.frame)

    def block_spread(self) -> pd.DataFrame:
        """Return the spread of scores over seed blocks beside the error that tables use, a row a score.

        Columns: `score`, `blocks`, `spread` (standard deviation / sqrt(blocks)), `se`, `ratio` (about 1 where the
        error is right), `points`.
        """
        return pairing_gain.block_spread(self.frame)

    def _check_scores(self, names: Sequence[str]) -> list[str]:
        return self._known(names, self.scores, "score")

    def _known(self, names: Sequence[str], known: Sequence[str], what: str) -> list[str]:
        # a lone name is a sequence of letters, too
        names = [names] if isinstance(names, str) else list(names)
        if unknown := [name for name in names if name not in known]:
            raise UsageError(f"{self.folder}: no {what} {unknown[0]}: there are {', '.join(known)}")
        return names

    def _with_scores(self, names: Sequence[str] | None) -> pd.DataFrame:
        """The frame with these scores alone: one without a direction is not shown."""
        if names is None:
            return self.frame
        wanted = self._check_scores(names)
        return self.frame.drop(
            columns=[f"{name}.higher_is_better" for name in self.scores if name not in wanted]
        )

    def _points(self, names: Sequence[str] | None) -> pd.DataFrame:
        if names is None:
            return self.frame
        return self.frame[self.frame["name"].isin(self._known(names, list(self.frame["name"]), "point"))]
