"""What a static method plans on: the sites of a denoiser with their costs, and the steps of a sampler."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from smoothbench.caching.cost import Cost, Macs
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.sites import Site


@dataclass(frozen=True)
class Trajectory:
    """What a static method plans on: the sites with their costs, and the step coordinates, the noisiest first.

    `rest_macs` and `rest_macs_linear` are the MACs of an evaluation outside the sites, per sample. `approaches` are
    what a dynamic method may run of a site before it gives it up at a probe, with their costs. At the evaluations
    `restarts` another network begins, so that everything is computed there.
    """

    sites: tuple[Site, ...]
    coordinates: tuple[float, ...]
    rest_macs: int = 0
    rest_macs_linear: int = 0
    approaches: tuple[Site, ...] = ()
    restarts: tuple[int, ...] = ()

    @classmethod
    def over(cls, measured: tuple[tuple[Site, ...], Macs], coordinates: tuple[float, ...]) -> "Trajectory":
        """Return the trajectory of measured sites, and of the rest's cost, over the timesteps of a solver."""
        sites, rest = measured
        return cls(sites, coordinates, rest.total, rest.linear)

    @property
    def evals(self) -> int:
        """The number of model evaluations."""
        return len(self.coordinates)

    def cost(self, calls: Mapping[str, float]) -> Cost:
        """Add up the MACs of one sample, given at how many evaluations each site was computed.

        Args: calls, by name of the site, where fractions are allowed (means over batches or forwards); the MACs of a
        site are rounded to whole ones. An approach to a probe without a count never ran. Raises KeyError for a site
        without a count.
        """
        counts = dict.fromkeys((approach.name for approach in self.approaches), 0.0) | dict(calls)
        by_kind: dict[str, Macs] = {}
        for site in (*self.sites, *self.approaches):
            total, linear = (round(macs * counts[site.name]) for macs in (site.macs, site.macs_linear))
            by_kind[site.kind] = by_kind.get(site.kind, Macs(0, 0)) + Macs(linear, total - linear)
        rest = Macs(self.rest_macs_linear, self.rest_macs - self.rest_macs_linear)
        return Cost(by_kind, Macs(self.evals * rest.linear, self.evals * rest.attention))

    def restarted(self, schedule: Schedule) -> Schedule:
        """Return a schedule that computes everything where another network begins."""
        if not self.restarts:
            return schedule
        full = (True,) * len(schedule.sites)
        rows = tuple(full if e in self.restarts else bits for e, bits in enumerate(schedule.computed))
        return replace(schedule, computed=rows)

    def share(self, schedule: Schedule) -> float:
        """The MACs of a schedule as a share of computing everything, attention products included."""
        full = dict.fromkeys(schedule.sites, self.evals)
        return self.cost(schedule.calls()).total / self.cost(full).total
