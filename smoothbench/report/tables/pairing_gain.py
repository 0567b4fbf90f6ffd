"""How much the design of the experiment buys: pairing, and seed blocks as a check of the errors."""

import numpy as np
import pandas as pd

from smoothbench.report.data.frame import is_reference, scores
from smoothbench.report.tables.text import grid


def pairing_gain(frame: pd.DataFrame) -> pd.DataFrame:
    """Compute how much tighter the paired errors of the differences to the reference are than unpaired ones.

    The gain of a point is sqrt(se^2 + se_reference^2) / se of its paired difference. A row for each score
    with differences: `score`, `gain` (median over the points), `least`, `most`, `points`. Points without
    any difference (se 0) are left out.
    """
    gains_by_score = []
    reference = frame[frame["reference"].astype(bool)]
    others = frame[~is_reference(frame, frame)]
    for score in scores(frame):
        rows = others[others[f"{score}.delta.se"] > 0]
        if len(reference) and len(rows):
            unpaired = np.hypot(rows[f"{score}.se"], reference[f"{score}.se"].iloc[0])
            gains = unpaired / rows[f"{score}.delta.se"]
            gains_by_score.append((score, gains.median(), gains.min(), gains.max(), len(rows)))
    return pd.DataFrame(gains_by_score, columns=["score", "gain", "least", "most", "points"])


def block_spread(frame: pd.DataFrame) -> pd.DataFrame:
    """Compare the spread over seed blocks with the influence function's error, a row for each score with blocks.

    `score`, `blocks` (their number B), `spread` (median over the points of sd over blocks / sqrt(B)), `se`
    (median), `ratio`: the root mean square over the points of the one over the other, about 1 where the
    influence function is right; `points`. Points with se 0 are left out.
    """
    spreads_by_score = []
    for score in scores(frame):
        rows = frame[frame[f"{score}.blocks.sd"].notna() & (frame[f"{score}.se"] > 0)]
        if len(rows):
            blocks = rows[f"{score}.blocks"].map(len)
            spread = rows[f"{score}.blocks.sd"] / np.sqrt(blocks)
            ratio = float(np.sqrt(((spread / rows[f"{score}.se"]) ** 2).mean()))
            number = ", ".join(map(str, sorted(set(blocks))))
            spreads_by_score.append(
                (score, number, spread.median(), rows[f"{score}.se"].median(), ratio, len(rows))
            )
    return pd.DataFrame(spreads_by_score, columns=["score", "blocks", "spread", "se", "ratio", "points"])


def section(frame: pd.DataFrame) -> list[str]:
    """Write both as lines of Markdown; none where nothing is paired and nothing has blocks."""
    gains, spreads = pairing_gain(frame), block_spread(frame)
    lines = ["### How sure the numbers are", ""] if len(gains) or len(spreads) else []
    if len(gains):
        lines += [
            "How much tighter the standard errors of the paired differences to the reference are than those"
            " of unpaired ones would be, sqrt(se^2 + se_reference^2):",
            "",
            grid(
                ["score", "median over points", "range", "points"],
                [_gain(row) for _, row in gains.iterrows()],
            ),
        ]
    if len(spreads):
        lines += [
            "The spread over the parts of the samples (seed blocks), sd / sqrt(B), beside the error that the"
            " tables use: medians over points, and the root mean square of their ratio, about 1 where the"
            " error is right (points share their seeds, so that few blocks leave it rough):",
            "",
            grid(
                ["score", "B", "sd / sqrt(B)", "se", "ratio", "points"],
                [_spread(row) for _, row in spreads.iterrows()],
            ),
        ]
    return lines


def _gain(row: pd.Series) -> list[str]:
    spread = f"{row['least']:.1f} to {row['most']:.1f}"
    return [row["score"], f"{row['gain']:.1f} times", spread, str(row["points"])]


def _spread(row: pd.Series) -> list[str]:
    numbers = [f"{row['spread']:.3g}", f"{row['se']:.3g}", f"{row['ratio']:.2f}"]
    return [row["score"], row["blocks"], *numbers, str(row["points"])]
