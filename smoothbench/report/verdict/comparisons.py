"""All comparisons that a verdict rests on: paired, and corrected together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metrics.inference import Estimate, holm, paired_difference
from metrics.score import Score
from smoothbench.report.data.frame import OLDER, higher_is_better
from smoothbench.report.tables.column import LEVEL
from smoothbench.report.tables.two_points import influences

Pair = tuple[int, int]  # rows, the smaller number first


@dataclass(frozen=True)
class Comparisons:
    """Paired differences of pairs of points in one score, with the p-values of the whole verdict by Holm.

    `differences[a, b]` is the score of row a minus that of row b. `higher`: whether a higher score is better.
    """

    score: str
    higher: bool
    values: Mapping[int, float]
    differences: Mapping[Pair, Estimate]
    p: Mapping[Pair, float]

    def beats(self, a: int, b: int) -> bool:
        """Return whether row a is shown to be better than row b."""
        estimate = self.difference(a, b)
        return self.p[min(a, b), max(a, b)] < LEVEL and (estimate.value > 0) == self.higher

    def difference(self, a: int, b: int) -> Estimate:
        """Return the score of row a minus that of row b."""
        known = self.differences[min(a, b), max(a, b)]
        return known if a < b else Estimate(-known.value, known.se, known.count)

    def unbeaten(self, rows: Iterable[int]) -> list[int]:
        """Return the rows that none of the others is shown to beat, the best value first."""
        scored = self.ordered(rows)
        return [a for a in scored if not any(self.beats(b, a) for b in scored if b != a)]

    def ordered(self, rows: Iterable[int]) -> list[int]:
        """Return the rows that have the score, the best value first."""
        scored = [row for row in rows if row in self.values]
        return sorted(scored, key=lambda row: self.values[row], reverse=self.higher)


def compare_all(
    rows: pd.DataFrame, folder: Path, scores: Sequence[str], groups: Iterable[Iterable[int]]
) -> list[Comparisons]:
    """Compare, in each score, every two rows that a group has both of; Holm's correction is over all together.

    ValueError where per-sample scores are missing, damaged or of other seeds.
    """
    sets = [sorted(set(group)) for group in groups]
    pairs = sorted({pair for members in sets for pair in combinations(members, 2)})
    influence = _influences(rows, folder, sorted({row for members in sets for row in members}))
    scored = [
        {
            i: Score(float(rows.at[i, name]), values[name])
            for i, values in influence.items()
            if name in values and _has(rows.loc[i], name)
        }
        for name in scores
    ]
    differences = [
        {(a, b): paired_difference(values[a], values[b]) for a, b in pairs if {a, b} <= values.keys()}
        for values in scored
    ]
    adjusted = iter(holm([one.p_value for of_score in differences for one in of_score.values()]))
    return [
        Comparisons(
            name,
            higher_is_better(rows, name),
            {i: score.value for i, score in values.items()},
            of_score,
            {pair: next(adjusted) for pair in of_score},
        )
        for name, values, of_score in zip(scores, scored, differences, strict=True)
    ]


def _influences(
    rows: pd.DataFrame, folder: Path, needed: Sequence[int]
) -> dict[int, dict[str, NDArray[np.float64]]]:
    # points of several folders have theirs
    folders = rows.get("folder", pd.Series(str(folder), index=rows.index))
    values = {i: influences(Path(folders.loc[i]), rows.loc[i]) for i in needed}
    for i in needed[1:]:
        if not np.array_equal(values[i]["seeds"], values[needed[0]]["seeds"]):
            raise ValueError(f"{rows.at[i, 'name']} has other seeds than {rows.at[needed[0], 'name']}")
    return values


def _has(row: pd.Series, score: str) -> bool:
    """Whether a point has a score, by the same code of its metric as the newest point of the table."""
    return bool(pd.notna(row[score])) and OLDER not in row[f"{score}.flag"]
