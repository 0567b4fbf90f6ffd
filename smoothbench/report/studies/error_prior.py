"""How far the nano twin's last block turns between evaluations, beside what CEM publishes of DiT-XL/2.

    python -m smoothbench.report.studies.error_prior results/error_prior      # a few minutes on one core

Both are 1 - cosine of the last block's mean token at two evaluations (`cosine_errors`). The published prior is the
mean of 100 samples at 50 steps, in results/reported/cem_error_prior.csv; the script that makes it does not ask for
DDIM, so by its defaults it samples ancestrally, at guidance 1.5. Hence the twin runs with both samplers. Intervals are
95 % percentiles of a bootstrap over the twin's samples; of DiT-XL/2 the mean alone is published.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports baselines

# isort: split
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from smoothbench import command
from smoothbench.report.studies.error_prior_picture import picture
from smoothbench.report.studies.error_prior_runs import ancestral, ddim, twin_errors
from smoothbench.report.tables.text import to_markdown
from smoothbench.sibling_packages import ROOT
from smoothbench.storage.files import replacing, write_text

Array = NDArray[np.float64]
PUBLISHED = ROOT / "results/reported/cem_error_prior.csv"
RESAMPLES = 2000
# of evaluations counted from the end: the last ones, the next, DiT-XL/2's second hump, and the noisy half
STRETCHES = {"0-4": (0, 5), "5-13": (5, 14), "14-22": (14, 23), "23-35": (23, 36), "36-48": (36, 49)}
RATIO_LAGS = (1, 3)


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def text(self, digits: int) -> str:
        """The three, as `0.83 [0.80, 0.85]`."""
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def published() -> Array:
    """Return CEM's prior of DiT-XL/2, [lag - 1, evaluation from the end]."""
    table = pd.read_csv(PUBLISHED, comment="#", index_col="evaluation")
    return table.to_numpy(dtype=np.float64).T


def rank_correlation(theirs: Array, ours: Array, lag: int, resamples: int = RESAMPLES) -> Interval:
    """Return Spearman's correlation of two error curves at a lag over the evaluations that have one.

    Args: theirs [lag - 1, evaluation]; ours [lag - 1, evaluation, sample], whose samples are drawn anew.
    """
    valid = theirs.shape[1] - lag
    ranks = _centred(theirs[lag - 1, :valid][None])[0]
    means = _resampled(ours[lag - 1, :valid], resamples)
    correlations = _centred(means) @ ranks
    return _interval(correlations)


def ratio(
    theirs: Array, ours: Array, lag: int, stretch: tuple[int, int], resamples: int = RESAMPLES
) -> Interval:
    """Return the twin's error over DiT-XL/2's at a lag, as a geometric mean over a stretch of evaluations.

    Below 1 the twin changes less there than DiT-XL/2, so that caching looks better on it.
    """
    places = slice(stretch[0], min(stretch[1], theirs.shape[1] - lag))
    means = _resampled(ours[lag - 1, places], resamples)
    return _interval(np.exp((np.log(means) - np.log(theirs[lag - 1, places])).mean(1)))


def lines(theirs: Array, ours: Mapping[str, Array]) -> list[str]:
    """Return the comparison as lines of Markdown: rank correlations by lag, and ratios by stretch."""
    samples = next(iter(ours.values())).shape[2]
    correlations = [
        [str(lag), *(rank_correlation(theirs, errors, lag).text(3) for errors in ours.values())]
        for lag in range(1, len(theirs) + 1)
    ]
    ratios = [
        [
            name,
            *(ratio(theirs, errors, lag, stretch).text(2) for errors in ours.values() for lag in RATIO_LAGS),
        ]
        for name, stretch in STRETCHES.items()
    ]
    heads = [f"{name}, lag {lag}" for name in ours for lag in RATIO_LAGS]
    return [
        "# The nano twin beside DiT-XL/2",
        "",
        *((__doc__ or "").split("\n\n")[-1].strip().splitlines()),
        f"The twin: dit_nano, 50 steps, guidance 1.5, {samples} calibration samples.",
        "",
        "![Errors by evaluation](error_prior.png)",
        "",
        "Rank correlation with DiT-XL/2's errors over the evaluations:",
        "",
        to_markdown(pd.DataFrame(correlations, columns=["lag", *ours])),
        "The twin's error over DiT-XL/2's, by evaluations counted from the end (below 1: it flatters caching there):",
        "",
        to_markdown(pd.DataFrame(ratios, columns=["evaluations", *heads])),
    ]


def main() -> int:
    """Measure the twin, and write report.md, a picture and the twin's mean errors to a folder; return the exit code."""
    parser = command.parser("smoothbench.report.studies.error_prior", __doc__)
    parser.add_argument("folder", type=Path, help="where the comparison is written")
    parser.add_argument("--num-samples", type=int, default=256, help="calibration samples of the twin")
    arguments = parser.parse_args()

    def work() -> None:
        theirs = published()
        ours = {
            solver.label: twin_errors(solver, len(theirs), arguments.num_samples)[:, ::-1]
            for solver in (ddim(), ancestral())
        }
        write(arguments.folder, theirs, ours)

    return command.main(work, "interrupted: nothing is written")


def write(folder: Path, theirs: Array, ours: Mapping[str, Array]) -> None:
    """Write the comparison to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "report.md", "\n".join(lines(theirs, ours)))
    with replacing(folder / "error_prior.png") as file:
        picture(theirs, ours).savefig(file, format="png")
    columns = {
        f"{name}, lag {lag}": errors[lag - 1].mean(1)
        for name, errors in ours.items()
        for lag in range(1, len(theirs) + 1)
    }
    table = pd.DataFrame(columns).rename_axis("evaluation from the end")
    write_text(folder / "error_prior.csv", table.to_csv(float_format="%.6g"))


def _resampled(errors: Array, resamples: int) -> Array:
    """Means of errors [evaluation, sample], then those of samples drawn anew, [1 + resamples, evaluation]."""
    samples = errors.shape[1]
    drawn = np.random.default_rng(0).multinomial(samples, np.full(samples, 1 / samples), resamples)
    return np.vstack([errors.mean(1), drawn / samples @ errors.T])


def _centred(curves: Array) -> Array:
    """Ranks along each curve, centred and of length 1, so that products are Spearman's correlations."""
    ranks = rankdata(curves, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    return np.asarray(ranks / np.linalg.norm(ranks, axis=1, keepdims=True))


def _interval(drawn: Array) -> Interval:
    low, high = np.quantile(drawn[1:], (0.025, 0.975))
    return Interval(float(drawn[0]), float(low), float(high))


if __name__ == "__main__":
    sys.exit(main())
