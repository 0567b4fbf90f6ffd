"""Whether different encoders rank the policies alike."""

import itertools

import pandas as pd

from smoothbench.report.data.frame import higher_is_better, is_reference, scores
from smoothbench.report.tables.text import grid


def rank_agreement(frame: pd.DataFrame) -> pd.DataFrame:
    """Compute Kendall's tau-b (Kendall 1945) of the policies' order between the same score by two encoders.

    Scores pair where one metric makes both of an encoder's features, and their names differ after the last underscore
    alone: `fd_nano@256`, `fd_effnet@256`.
    A row a pair: `first`, `second`, `tau` (1: the same order), `p` (two-sided, of no association),
    `policies` (their number). The reference does not count, points with the same samples count once; pairs
    with fewer than 3 policies or no order at all are left out.
    """
    policies = frame[~is_reference(frame, frame)].drop_duplicates("sample_id")
    agreements = []
    for first, second in itertools.combinations(scores(frame), 2):
        both = policies[policies[first].notna() & policies[second].notna()]
        if not (_same_name(first, second) and _same_metric(both, first, second)) or len(both) < 3:
            continue
        sign = 1.0 if higher_is_better(frame, first) == higher_is_better(frame, second) else -1.0
        tau, p = _tau_b(both[first], sign * both[second])
        if not pd.isna(tau):
            agreements.append((first, second, tau, p, len(both)))
    return pd.DataFrame(agreements, columns=["first", "second", "tau", "p", "policies"])


def section(frame: pd.DataFrame) -> list[str]:
    """Write the agreement as lines of Markdown; none where no two encoders score the same."""
    agreements = rank_agreement(frame)
    rows = [
        [f"{row['first']} and {row['second']}", f"{row['tau']:+.2f}", f"{row['p']:.2g}", str(row["policies"])]
        for _, row in agreements.iterrows()
    ]
    heading = ["scores", "Kendall's tau", "p", "policies"]
    return ["### Whether the encoders rank the policies alike", "", grid(heading, rows)] if rows else []


def _tau_b(one: pd.Series, other: pd.Series) -> tuple[float, float]:
    """Return Kendall's tau-b and its p."""
    from scipy.stats import kendalltau  # a sixth of what a start would import, and few reports need it

    tau, p = kendalltau(one, other)
    return float(tau), float(p)


def _same_metric(both: pd.DataFrame, first: str, second: str) -> bool:
    """Whether one metric made these scores of all points, of an encoder's features."""
    same = both[f"{first}.metric"] == both[f"{second}.metric"]
    return bool((same & both[f"{first}.by_encoder"] & both[f"{second}.by_encoder"]).all())


def _same_name(first: str, second: str) -> bool:
    """Whether two names are equal but for the encoder at their end."""
    names, counts = zip(*(name.partition("@")[::2] for name in (first, second)), strict=True)
    measures = [name.rpartition("_")[0] for name in names]
    return bool(measures[0]) and measures[0] == measures[1] and counts[0] == counts[1]
