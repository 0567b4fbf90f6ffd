"""Recompute the costs of records: from the model's own layers where the model is one of conf/."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from smoothbench.caching import Trajectory
from smoothbench.caching.mac_counter import MeasuredSites, measured_sites
from smoothbench.caching.sites import sites_named
from smoothbench.leaderboard.difference import Difference, compare
from smoothbench.leaderboard.known_parts import known_model
from smoothbench.protocols import Model
from smoothbench.storage.identity import canonical
from smoothbench.storage.record import Record
from smoothbench.storage.record_cost import Cost

LAYERS = "schedule and model give"


@dataclass
class MeasuredModels:
    """The models of records, and the costs of their sites, measured once for each choice of sites."""

    models: dict[str, Model | None] = field(default_factory=dict)
    sites: dict[tuple[str, tuple[str, ...] | None], MeasuredSites | None] = field(default_factory=dict)

    def trajectory(self, record: Record) -> Trajectory | None:
        """Return the sites of a record with their costs; None where its model cannot be built here."""
        schedule, key = record.schedule, canonical(record.config.get("model"))
        names = None if schedule is None else tuple(schedule.sites)
        if key not in self.models:
            self.models[key] = known_model(record)
        if (key, names) not in self.sites:
            self.sites[key, names] = self._measured(self.models[key], names)
        measured = self.sites[key, names]
        steps = tuple(map(float, range(record.solver.steps)))
        return None if measured is None else Trajectory.over(measured, steps)

    def _measured(self, model: Model | None, names: tuple[str, ...] | None) -> MeasuredSites | None:
        if model is None:
            return None
        # other sites than this version knows, or an extra missing
        with suppress(ValueError, ImportError, OSError):
            denoiser, call = model.skeleton()
            return measured_sites(denoiser, call, None if names is None else sites_named(denoiser, names))
        return None


def cost_differences(record: Record, reference: Record, models: MeasuredModels) -> Iterator[Difference]:
    """Yield the costs of a record that do not follow from its schedule, or that contradict each other.

    Args: reference, the uncached record of the same seeds.
    """
    cost = record.cost
    yield from compare("solver.steps", record.solver.steps, _steps(record), "its schedule has evaluations")
    if cost is None:
        return
    yield from compare("cost.evals", cost.evals, record.solver.steps, "its solver has steps")
    if cost.by_kind is not None:
        # means over samples, where their schedules differ
        rounding = 0 if record.schedule else len(cost.by_kind)
        yield from compare(
            "cost.macs", cost.macs, sum(cost.by_kind.values()), "its kinds of site add up to", rounding
        )
    if reference.cost is not None:
        share = cost.macs / reference.cost.macs
        # of pooled points that decide at run time the MACs are a mean, rounded, and the share is one that is not
        of_means = 1 / reference.cost.macs if record.parts and record.schedule is None else 0.0
        yield from compare("cost.share", cost.share, share, "MACs over the uncached ones give", of_means)
    trajectory = models.trajectory(record)
    if trajectory is not None:
        yield from _from_layers(record, cost, trajectory)


def _from_layers(record: Record, cost: Cost, trajectory: Trajectory) -> Iterator[Difference]:
    full = trajectory.cost({site.name: trajectory.evals for site in trajectory.sites}).total
    schedule, budget = record.schedule, record.budget
    if schedule is not None:
        calls = {site: sum(row[i] == "1" for row in schedule.rows) for i, site in enumerate(schedule.sites)}
        again = trajectory.cost(calls)
        by_kind = {kind: macs.total for kind, macs in again.by_kind.items()} | {"rest": again.rest.total}
        yield from compare("cost.macs", cost.macs, again.total, LAYERS)
        yield from compare("cost.macs_linear", cost.macs_linear, again.linear, LAYERS)
        for kind, macs in (cost.by_kind or {}).items():
            yield from compare(f"cost.by_kind.{kind}", macs, by_kind.get(kind), LAYERS)
        if budget and budget.expected is not None:
            yield from compare("budget.expected", budget.expected, again.total / full, LAYERS)
    if budget and budget.realised is not None and not record.parts:
        yield from compare("budget.realised", budget.realised, cost.macs / full, LAYERS)


def _steps(record: Record) -> int:
    return len(record.schedule.rows) if record.schedule else record.solver.steps
