"""MACs of a point, by kind of layer."""

from collections import Counter
from collections.abc import Mapping

from smoothbench.planning.point import Point
from smoothbench.storage.record_cost import Cost


def cost(point: Point, reference: Point, executed: Mapping[str, float] | None = None) -> Cost:
    """MACs per sample over a trajectory, as planned or by the executed evaluations of each site."""
    trajectory, calls = point.trajectory, executed or point.planned_calls
    by_kind: Counter[str] = Counter()
    linear = trajectory.evals * trajectory.rest_macs_linear
    for site in trajectory.sites:
        by_kind[site.kind] += round(site.macs * calls[site.name])
        linear += round(site.macs_linear * calls[site.name])
    rest = trajectory.evals * trajectory.rest_macs
    macs = by_kind.total() + rest
    share = macs / reference.planned_macs
    return Cost(macs, linear, share, trajectory.evals, {**by_kind, "rest": rest})
