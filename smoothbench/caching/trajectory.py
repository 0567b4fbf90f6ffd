"""What a static method plans on: the sites of a denoiser with their costs, and the steps of a sampler."""

from collections.abc import Mapping
from dataclasses import dataclass

from smoothbench.caching.schedule import Schedule
from smoothbench.caching.sites import Site


@dataclass(frozen=True)
class Trajectory:
    """What a static method plans on: the sites with their costs, and the step coordinates, the noisiest first.

    `rest_macs` and `rest_macs_linear` are the MACs of an evaluation outside the sites, per sample.
    """

    sites: tuple[Site, ...]
    coordinates: tuple[float, ...]
    rest_macs: int = 0
    rest_macs_linear: int = 0

    @property
    def evals(self) -> int:
        """The number of model evaluations."""
        return len(self.coordinates)

    def macs(self, calls: Mapping[str, float], linear: bool = False) -> float:
        """MACs per sample of a trajectory, given at how many evaluations each site was computed.

        Args: calls, by name of the site, fractions allowed; linear, whether to leave out the attention products.
        """
        if linear:
            return self.evals * self.rest_macs_linear + sum(s.macs_linear * calls[s.name] for s in self.sites)
        return self.evals * self.rest_macs + sum(s.macs * calls[s.name] for s in self.sites)

    def share(self, schedule: Schedule) -> float:
        """The schedule's MACs as a share of computing everything, attention products included."""
        full = dict.fromkeys(schedule.sites, self.evals)
        return self.macs(schedule.calls()) / self.macs(full)
