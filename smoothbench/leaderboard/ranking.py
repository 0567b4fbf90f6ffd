"""Rankings with ties: at each budget a method stands below those that are shown to beat it, and no others."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from smoothbench.leaderboard.submission import Submission
from smoothbench.report.data.groups import GROUP, comparable_groups
from smoothbench.report.verdict.budgets import Budget
from smoothbench.report.verdict.comparisons import Comparisons
from smoothbench.report.verdict.findings import Verdict, verdict

# what points of several folders must have in common
SHARED = [name for name in GROUP if name != "experiment"]


@dataclass(frozen=True)
class Standing:
    """A method's rank in one score: 1 and one more for each method that is shown to beat it.

    `tied` are the rows that cannot be told apart from it. `row` counts in the board's frame.
    """

    row: int
    rank: int
    tied: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Board:
    """The rankings of points that may be compared, of one or several submissions.

    `submissions` has the name of each row's folder; `standings[budget]` has a ranking for each score of the verdict.
    `repeated` maps a point_id to the other folders that hand in the same point.
    """

    frame: pd.DataFrame
    verdict: Verdict
    standings: dict[Budget, tuple[tuple[Standing, ...], ...]]
    repeated: dict[str, tuple[str, ...]]

    @property
    def rows(self) -> pd.DataFrame:
        """The points that were compared, one row each, with their `submission`."""
        return self.verdict.rows


def boards(submissions: Sequence[Submission]) -> list[Board]:
    """Rank the points of all submissions, by tables of points that may be compared; the largest table first.

    Submissions without per-sample scores are left out: nothing about them can be tested.
    """
    ranked = [board for frame in _tables(submissions) if (board := _board(frame)) is not None]
    return sorted(ranked, key=lambda board: (str(board.rows["model"].iloc[0]), -len(board.rows)))


def standings(score: Comparisons, methods: Iterable[int]) -> tuple[Standing, ...]:
    """Rank methods in one score, the best rank and value first."""
    ordered = score.ordered(methods)
    places = []
    for row in ordered:
        others = [one for one in ordered if one != row]
        above = [one for one in others if score.beats(one, row)]
        tied = tuple(one for one in others if one not in above and not score.beats(row, one))
        places.append(Standing(row, 1 + len(above), tied))
    return tuple(sorted(places, key=lambda place: place.rank))


def _tables(submissions: Sequence[Submission]) -> Iterator[pd.DataFrame]:
    """Frames of points that may be compared, whichever folder they lie in."""
    frames = [
        group.assign(submission=one.name, folder=str(one.folder))
        for one in submissions
        if (one.folder / "scores").is_dir()
        for _, group in comparable_groups(one.frame)
    ]
    joined: dict[tuple[object, ...], list[pd.DataFrame]] = {}
    for frame in frames:
        joined.setdefault(tuple(frame[SHARED].iloc[0]), []).append(frame)
    for parts in joined.values():
        yield parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of several folders; latencies of several machines are not compared, so they are left out."""
    timeless = [
        part.drop(columns=[name for name in part if str(name).startswith("latency")]) for part in parts
    ]
    timeless = [
        part.drop(columns=["speedup_measured", "speedup_measured.mad"], errors="ignore") for part in timeless
    ]
    return pd.concat(timeless, ignore_index=True)


def _board(frame: pd.DataFrame) -> Board | None:
    repeats = frame[frame["point_id"].duplicated(keep=False)]
    repeated = {
        str(point_id): tuple(rows["submission"].iloc[1:]) for point_id, rows in repeats.groupby("point_id")
    }
    frame = frame.drop_duplicates("point_id").reset_index(drop=True)
    judged = verdict(frame, frame["folder"].iloc[0])
    if judged is None:
        return None
    places = {
        budget: tuple(
            standings(score, finding.methods) for score, finding in zip(judged.scores, findings, strict=True)
        )
        for budget, findings in judged.findings.items()
    }
    return Board(frame, judged, places, repeated)
