"""CEM (arXiv 2512.23258): full evaluations where the summed cosine error of the last block is least."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from baselines.checks import refuse_unet
from baselines.full_evaluations import FullEvaluations
from baselines.paths import Path, cheapest_path
from smoothbench.caching import CalibrationBatch, Trajectory, cosine_errors, last_stream


@dataclass(frozen=True)
class CEM(FullEvaluations):
    """CEM places full evaluations by how much the last block's mean token turns along the uncached run.

    Its error E(t, n) is one minus the cosine between evaluations t and t - n, all guidance rows in one vector. A gap of
    g that ends at t costs the sum of E(s, g - 1) over all s up to t, times (g - 1) to the power `power`; gaps differ by
    at most `slack` from evals / full, rounded, and are at most `longest`. The first and the last evaluation are full
    (section 3; the sum, the weights and the limits as in the released code). It was published on DuCa, TaylorSeer and
    TeaCache, whose predictors stand in for what is skipped; by default here it is reuse. Raises ValueError for a
    parameter out of range, and for a U-Net.
    """

    slack: int = 1
    power: int = 2
    longest: int = 10
    name = "cem"
    version = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole(slack=0, power=0, longest=1)

    def possible(self, evals: int, full: int) -> bool:
        """Return whether gaps within the limits lead from the first to the last evaluation."""
        gaps, way = self._gaps(evals, full), evals - 1
        return bool(gaps) and (full - 1) * gaps[0] <= way <= (full - 1) * gaps[-1]

    def place(self, trajectory: Trajectory, batch: CalibrationBatch) -> Path:
        """Return the full evaluations of the cheapest path; ValueError for a U-Net."""
        refuse_unet("CEM", batch.denoiser)
        evals, gaps = trajectory.evals, self._gaps(trajectory.evals, self.full)
        errors = cosine_errors(last_stream(batch), gaps[-1] - 1).mean(2).cumsum(1)
        costs = [[0.0] * evals]
        for lag, row in enumerate(errors, 1):
            costs.append([float(cost) * lag**self.power if cost > 0 else inf for cost in row])

        def onward(path: Path, cost: float) -> Iterator[tuple[int, float]]:
            for gap in gaps:
                if (t := path[-1] + gap) < evals:
                    yield t, cost + costs[gap - 1][t]

        return cheapest_path((0,), self.full, evals - 1, 0.0, onward)

    def _gaps(self, evals: int, full: int) -> range:
        usual = round(evals / full)
        return range(max(1, usual - self.slack), min(self.longest, usual + self.slack) + 1)
