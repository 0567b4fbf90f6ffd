"""No cache with fewer steps at the cost of a tuned schedule: the rival that every method has to beat."""

from dataclasses import dataclass, replace

from metrics.inference import Estimate, paired_difference
from metrics.score import Score
from smoothbench.caching import Schedule
from smoothbench.config.spec import Spec
from smoothbench.planning.point import Point
from smoothbench.protocols import Config
from smoothbench.storage.record import Record
from smoothbench.storage.results_folder import Store

ROUNDING = 1e-9  # of a share that is a whole number of steps


@dataclass(frozen=True)
class Rival:
    """Fewer steps, their share of the MACs, their score, and by how much the schedule is better on the same seeds.

    `gain` is positive where the schedule is nearer to the uncached samples, whichever way the metric counts.
    """

    record: Record
    metric: str
    value: float
    gain: Estimate

    def to_json(self) -> Config:
        """Return what the schedule's file holds of it."""
        assert self.record.cost is not None
        gain = {"value": self.gain.value, "low": self.gain.low, "high": self.gain.high}
        return {
            "label": self.record.label,
            "share": self.record.cost.share,
            self.metric: self.value,
            "gain": gain,
        }

    def __str__(self) -> str:
        assert self.record.cost is not None
        gain, cost = self.gain, self.record.cost
        start = f"{self.record.label}, {cost.share:.1%}: {self.metric} {self.value:.4g}"
        interval = f"{gain.value:+.4g} [{gain.low:+.4g}, {gain.high:+.4g}]"
        if gain.low > 0:
            return f"{start}; the schedule is nearer, by {interval}"
        if gain.high < 0:
            return f"{start}; they are NEARER than the schedule, by {-gain.value:.4g}: take them ({interval})"
        return f"{start}; the schedule is not shown to be nearer ({interval})"


def fewer_steps(reference: Spec, point: Point) -> Spec | None:
    """Return no cache at the most steps that cost no more than a point's schedule; None where that is none, or all."""
    steps, policy = point.spec.solver.get("steps"), point.policy
    if not isinstance(steps, int) or not isinstance(policy, Schedule):
        return None
    fewer = int(point.trajectory.share(policy) * steps + ROUNDING)
    if not 0 < fewer < steps:
        return None
    solver, label = {**point.spec.solver, "steps": fewer}, f"no cache, {fewer} steps"
    return replace(reference, name=label, label=label, order=1, reference=False, solver=solver)


def rival_of(point: Point, fewer: Point, metric: str, store: Store) -> Rival | None:
    """Compare a tuned point with fewer steps, both sampled and scored; None where one of them has no such score."""
    ours, theirs = (_scored(each, metric, store) for each in (point, fewer))
    if ours is None or theirs is None:
        return None
    record, score, higher = theirs
    difference = paired_difference(ours[1], score) if higher else paired_difference(score, ours[1])
    return Rival(record, metric, score.value, difference)


def _scored(point: Point, metric: str, store: Store) -> tuple[Record, Score, bool] | None:
    """A point's record, its score with the influence of each sample, and whether more of it is better."""
    record, name = store.record(point.spec.name, point.point_id), f"{metric}@{len(point.spec.seeds)}"
    influences = store.scores(point.spec.name, point.point_id) or {}
    if record is None or record.cost is None or name not in record.scores or name not in influences:
        return None
    entry = record.scores[name]
    return record, Score(entry.value, influences[name]), entry.higher_is_better
