"""All that is measured on the calibration batch: from the results folder, or measured now."""

from collections.abc import Sequence

from smoothbench.caching import Site
from smoothbench.config.spec import Spec
from smoothbench.planning.budget_search import BudgetSearch, SearchedSetting
from smoothbench.planning.calibrated import BatchPlan, BatchPlanning, Curves
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.protocols import Solver
from smoothbench.sampling import calibrate_point
from smoothbench.sampling.plan_on_batch import Plans
from smoothbench.sampling.search_on_batch import Searches
from smoothbench.storage.results_folder import Store


class Measured:
    """A `Calibrated` that has what lies in the results folder; once it `runs`, the model runs for what does not."""

    def __init__(self, sites: ChosenSites, store: Store, force: bool, runs: bool = False) -> None:
        self.measurements = calibrate_point.Curves(sites, store, force)
        self._plans, self._searches = Plans(sites, store, force), Searches(sites, store, force)
        self.runs = runs

    def curves(self, solver: Solver, spec: Spec, sites: Sequence[Site]) -> Curves | None:
        """Return a point's error curves and their file."""
        known = self.measurements.measured if self.runs else self.measurements.known
        return known(solver, spec, sites)

    def plan(self, planning: BatchPlanning) -> tuple[BatchPlan, str, str] | None:
        """Return what was planned on the calibration batch, the digest of it, and its file."""
        return (self._plans.made if self.runs else self._plans.known)(planning)

    def setting(self, search: BudgetSearch) -> tuple[SearchedSetting, str, str] | None:
        """Return the setting that a search on the calibration batch has found, the digest of its file, and the file."""
        return (self._searches.made if self.runs else self._searches.known)(search)
