"""The sites that the methods of an experiment decide on, with their costs, measured once for each choice."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from torch import nn

from smoothbench.caching import Site, Trajectory, find_sites
from smoothbench.caching.at_level import AtLevel
from smoothbench.caching.mac_counter import MeasuredSites, measured_sites
from smoothbench.caching.policy import ChoosesSites, Probing
from smoothbench.caching.probe_costs import probe_costs
from smoothbench.caching.probes import Probe
from smoothbench.caching.sites import BRANCH
from smoothbench.caching.sites_of_policy import sites_of
from smoothbench.planning.counted_once import counted_once
from smoothbench.protocols import Model


class ChosenSites:
    """Measures the sites of one model: its branches, and whatever else methods choose; the model never runs."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._measured: dict[tuple[str, ...], MeasuredSites] = {}
        self._approaches: dict[tuple[tuple[str, ...], tuple[Probe, ...]], tuple[Site, ...]] = {}

    @cached_property
    def branches(self) -> MeasuredSites:
        """The model's branches and their costs, on which most methods decide; ValueError where it has none."""
        return counted_once(self.model, "MACs of branches", (), lambda: measured_sites(*self._skeleton))

    @cached_property
    def branch_names(self) -> tuple[str, ...]:
        """The names of the model's branches; nothing where it has none."""
        return counted_once(self.model, "branches", (), self._branch_names)

    def _branch_names(self) -> tuple[str, ...]:
        try:
            return _names(find_sites(self._skeleton[0]))
        except ValueError:
            return ()

    def named(self, sites: Sequence[Site]) -> dict[str, list[str]]:
        """Return what ids say of sites: nothing where they are the branches, as in most results; else their names."""
        return {} if _names(sites) == self.branch_names else {"sites": list(_names(sites))}

    def trajectory(self, method: Any, coordinates: Sequence[float]) -> Trajectory:
        """Return what a method plans on over the timesteps of a solver.

        Raises ValueError where the model does not have the sites that the method chooses, or looks at.
        """
        sites, rest = self._of(method)
        trajectory = Trajectory.over((sites, rest), tuple(coordinates))
        if not isinstance(method, Probing):
            return trajectory
        return replace(trajectory, approaches=self._approaching(method, sites))

    def _approaching(self, method: Probing, sites: tuple[Site, ...]) -> tuple[Site, ...]:
        denoiser, call = self._skeleton
        probes = tuple(method.choose_probes(denoiser))
        key = _names(sites), probes
        if key not in self._approaches:
            self._approaches[key] = counted_once(
                self.model, "probes", sites, lambda: probe_costs(denoiser, sites, probes, call, 1), probes
            )
        return self._approaches[key]

    def _of(self, method: Any) -> MeasuredSites:
        level = method.level if isinstance(method, AtLevel) else BRANCH
        if level == BRANCH and not isinstance(method, ChoosesSites):
            return self.branches  # for which no skeleton is built where its costs are known
        sites = sites_of(method, self._skeleton[0])
        if _names(sites) == self.branch_names:
            return self.branches
        if _names(sites) not in self._measured:
            self._measured[_names(sites)] = counted_once(
                self.model, "MACs", sites, lambda: measured_sites(*self._skeleton, sites)
            )
        return self._measured[_names(sites)]

    @cached_property
    def _skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        return self.model.skeleton()


def _names(sites: Sequence[Site]) -> tuple[str, ...]:
    return tuple(site.name for site in sites)
