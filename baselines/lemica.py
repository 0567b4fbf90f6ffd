"""LeMiCa (arXiv 2511.00090): full evaluations along the path whose worst reused segment harms the sample least."""

from collections.abc import Iterator
from dataclasses import dataclass

from baselines.full_evaluations import FullEvaluations
from baselines.paths import Path, cheapest_path
from smoothbench.caching import CalibrationBatch, Schedule, Trajectory

Errors = tuple[float, ...]  # of the reused segments of a path, the worst first


@dataclass(frozen=True)
class LeMiCa(FullEvaluations):
    """LeMiCa measures what reusing each segment alone does to the final sample, and avoids the worst segments.

    The error of a segment from i to j is the mean absolute change of the final latents where everything between i and
    j is reused and all else computed; `reach` is the longest j - i. Of the paths with `full` full evaluations, the
    first and the last among them, that one is taken whose worst error is least, then its second worst, and so on
    (section 3.3, eq. 4 and 5). The paper names no longest segment: 7 is the longest of its published masks for 50 steps
    (in its code). Raises ValueError for a parameter out of range.
    """

    reach: int = 7
    name = "lemica"
    version = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole(reach=1)

    def possible(self, evals: int, full: int) -> bool:
        """Return whether segments within reach lead from the first to the last evaluation."""
        return full - 1 <= evals - 1 <= (full - 1) * self.reach

    def place(self, trajectory: Trajectory, batch: CalibrationBatch) -> Path:
        """Return the full evaluations of the path with the least worst error."""
        last = trajectory.evals - 1
        measured: dict[tuple[int, int], float] = {}

        def error(i: int, j: int) -> float:
            if j > i + 1 and (i, j) not in measured:
                bits = [not i < e < j for e in range(trajectory.evals)]
                final = batch.rollout(Schedule.steps(trajectory.sites, bits))
                measured[i, j] = float((final - batch.uncached).abs().double().mean())
            return measured.get((i, j), 0.0)

        def onward(path: Path, errors: Errors) -> Iterator[tuple[int, Errors]]:
            i, left = path[-1], self.full - len(path) - 1  # full evaluations to place after j
            for j in range(i + 1, min(i + self.reach, last) + 1):
                if left <= last - j <= left * self.reach:
                    yield j, tuple(sorted((*errors, error(i, j)), reverse=True))

        return cheapest_path((0,), self.full, last, (), onward)
