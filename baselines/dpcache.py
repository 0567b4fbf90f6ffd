"""DPCache (arXiv 2602.22654): full evaluations along the path with the least predicted error of the last block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.full_evaluations import FullEvaluations
from baselines.paths import Path, cheapest_path
from smoothbench.caching import CalibrationBatch, Taylor, Trajectory, Weighted, last_stream


@dataclass(frozen=True)
class DPCache(FullEvaluations):
    """DPCache computes everything at the evaluations from which the last block's output can best be predicted.

    The cost of going from a full evaluation j to the next one k, where i was full before j, is the mean absolute error
    of predicting the last block's output at j + 1 to k, summed up, along the uncached run. The first `first` are
    full, no two lie further apart than the share `reach` of all, and a path ends one evaluation after the last, at
    a made-up output (section 3, and the released code, which has order 2 of i - 1, i and j; here the point's own
    predictor where its weights are known, at most order 2, from these three outputs). The published dynamic programme
    keeps one path for each j, and so is not exact, as costs depend on i too: `exact` keeps one for each pair. Raises
    ValueError for a parameter that is out of range.
    """

    first: int = 3
    reach: float = 0.3
    exact: bool = False
    name = "dpcache"
    version = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole(first=3)
        if not (isinstance(self.reach, int | float) and 0 < self.reach <= 1):
            raise ValueError(
                f"reach must be a share of the evaluations, above 0 and at most 1, not {self.reach}"
            )

    def possible(self, evals: int, full: int) -> bool:
        """Return whether a path with so many full evaluations reaches the end."""
        jumps, way = full - self.first + 1, evals - self.first + 1
        return 1 <= jumps <= way <= jumps * self._longest(evals)

    def place(self, trajectory: Trajectory, batch: CalibrationBatch) -> Path:
        """Return the full evaluations of the cheapest path."""
        evals, longest = trajectory.evals, self._longest(trajectory.evals)
        known = batch.predictor if isinstance(batch.predictor, Weighted) else Taylor(2)
        grid = trajectory.coordinates if known.coordinate == "timestep" else tuple(map(float, range(evals)))
        errors = _Errors(last_stream(batch).flatten(1), known, grid, longest)

        def onward(path: Path, cost: float) -> Iterator[tuple[int, float]]:
            i, j = path[-2:]
            for k, error in enumerate(errors(i, j) if j < evals else [], j + 1):
                yield k, cost + error

        start = tuple(range(self.first))
        return cheapest_path(start, self.full + 1, evals, 0.0, onward, 2 if self.exact else 1)[:-1]

    def _longest(self, evals: int) -> int:
        return max(int(evals * self.reach), 1)


class _Errors:
    """Accumulated errors of predicting outputs [evaluation, values] from two full evaluations.

    Args: grid, the coordinates of the evaluations as the predictor counts them.
    """

    def __init__(self, outputs: Tensor, predictor: Weighted, grid: Sequence[float], longest: int) -> None:
        evals = len(outputs)
        weights = torch.tensor(Taylor(2).weights([evals - 1, evals - 2, evals - 3], evals))
        last = outputs[[-1, -2, -3]]
        beyond = 0.8 * weights.to(last) @ last + 0.2 * last.mean(0)  # as the released code makes it up
        self._outputs, self._predictor, self._longest = torch.cat([outputs, beyond[None]]), predictor, longest
        self._grid = [*grid, 2 * grid[-1] - grid[-2]]
        self._known: dict[tuple[int, int], list[float]] = {}

    def __call__(self, i: int, j: int) -> list[float]:
        """The cost of going from j, after i, to j + 1, j + 2, ..."""
        if (i, j) not in self._known:
            given = [j, i, i - 1][: self._predictor.depth]
            now = range(j + 1, min(j + self._longest, len(self._outputs) - 1) + 1)
            places = [self._grid[e] for e in given]
            weights = torch.tensor([self._predictor.weights(places, self._grid[k]) for k in now])
            errors = weights.to(self._outputs) @ self._outputs[given] - self._outputs[now.start : now.stop]
            self._known[i, j] = errors.abs().mean(1, dtype=torch.float64).cumsum(0).tolist()
        return self._known[i, j]
