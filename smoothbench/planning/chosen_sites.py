"""The sites that the methods of an experiment decide on, with their costs, measured once for each choice."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from torch import nn

from smoothbench.caching import Site, Trajectory
from smoothbench.caching.mac_counter import MeasuredSites, measured_sites
from smoothbench.caching.policy import ChoosesSites, Probing
from smoothbench.caching.probe_costs import probe_costs
from smoothbench.caching.sites import BRANCH
from smoothbench.protocols import Model


class ChosenSites:
    """Measures the sites of one model: its branches, and whatever else methods choose; the model never runs."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._measured: dict[tuple[str, ...], MeasuredSites] = {}

    @cached_property
    def branches(self) -> MeasuredSites:
        """The model's branches and their costs, on which most methods decide; ValueError where it has none."""
        return measured_sites(*self._skeleton)

    @cached_property
    def has_branches(self) -> bool:
        """Whether the model has branches at all."""
        try:
            return bool(self.branches[0])
        except ValueError:
            return False

    def trajectory(self, method: Any, coordinates: Sequence[float]) -> Trajectory:
        """Return what a method plans on over the timesteps of a solver.

        Raises ValueError where the model does not have the sites that the method chooses, or looks at.
        """
        denoiser, call = self._skeleton
        sites, rest = self._of(method)
        trajectory = Trajectory.over((sites, rest), tuple(coordinates))
        if not isinstance(method, Probing):
            return trajectory
        return replace(
            trajectory, approaches=probe_costs(denoiser, sites, method.choose_probes(denoiser), call, 1)
        )

    def _of(self, method: Any) -> MeasuredSites:
        if not isinstance(method, ChoosesSites):
            return self.branches
        denoiser, call = self._skeleton
        sites = method.choose_sites(denoiser)
        if all(site.level == BRANCH for site in sites) and _names(sites) == _names(self.branches[0]):
            return self.branches
        if _names(sites) not in self._measured:
            self._measured[_names(sites)] = measured_sites(denoiser, call, sites)
        return self._measured[_names(sites)]

    @cached_property
    def _skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        return self._model.skeleton()


def _names(sites: Sequence[Site]) -> tuple[str, ...]:
    return tuple(site.name for site in sites)


def named_sites(sites: Sequence[Site]) -> dict[str, list[str]]:
    """Return what an id says of sites: nothing where all are branches, as most results are; else their names."""
    return {} if all(site.level == BRANCH for site in sites) else {"sites": list(_names(sites))}
