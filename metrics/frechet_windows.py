"""Frechet distance of samples that are seen in windows."""

from metrics.frechet import FrechetDistance
from metrics.rows import Rows, at_least, few
from metrics.score import Score


class WindowedFrechetDistance(FrechetDistance):
    """Frechet distance of the features of all windows of all samples, pooled, to those of real samples.

    As FD-OpenL3 is defined (Evans et al. 2024, arXiv 2402.04825): windows count as if each were a sample.
    Of the error that is not true: windows of one clip share its luck, so the influence of a clip is
    the mean over its windows, and the standard error that of clusters. Flags N < 20 d for N clips.
    """

    inputs: tuple[str, ...] = ("windows",)
    name = "fd_windows"
    version = 1

    def fit(self, rows: Rows) -> None:
        """Take rows [M, W, d] of real samples; raises ValueError as `FrechetDistance.fit` does."""
        super().fit(_pooled(rows))

    def score(self, rows: Rows) -> Score:
        """The distance of rows [N, W, d]; ValueError for other shapes, NaN or Inf, and fewer than 2 samples."""
        pooled = self.checked(_pooled(rows), least=1)
        clips, _, width = rows.shape
        at_least(clips, 2, type(self).__name__)
        value, influence = self.distance(pooled)
        clustered = influence.reshape(clips, -1).mean(axis=1)
        return Score(value, clustered - clustered.mean(), few(clips, width))


def _pooled(rows: Rows) -> Rows:
    if rows.ndim != 3 or 0 in rows.shape:
        raise ValueError(
            f"windows must be [N, W, d] and not empty, not {list(rows.shape)}: the encoder gives W windows a sample"
        )
    return rows.reshape(-1, rows.shape[2])
