"""The search for the setting of a knob, where a setting's cost is known only by runs of the calibration batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smoothbench.caching import CalibrationBatch, Trajectory
from smoothbench.caching.knobs import (
    CLOSE,
    Affordable,
    BudgetTooLow,
    HasKnob,
    Setting,
    bisected,
    settings_of,
    with_setting,
)
from smoothbench.caching.policy import DynamicPolicy, PlansOnBatch
from smoothbench.caching.predictor import Predictor
from smoothbench.config.spec import Spec
from smoothbench.protocols import Config, Solver


@dataclass(frozen=True)
class SearchedSetting:
    """The result of a search: the setting and its share of the uncached MACs on the calibration batch.

    Where no setting is cheap enough, `setting` is None and `share` the least that there is. `spent` is what the search
    has cost, as planning on the batch counts it.
    """

    setting: Setting | None
    share: float
    spent: Mapping[str, int]


@dataclass(frozen=True)
class BudgetSearch:
    """The search for the dearest setting of a method's knob that costs at most a share `at` of the uncached MACs.

    `parts` describe model, solver, predictor and method, the latter at its dearest setting; with the calibration, `at`
    and `batch_size` (None for a method that plans) they identify the search.
    """

    spec: Spec
    at: float
    solver: Solver
    trajectory: Trajectory
    method: Any
    predictor: Predictor
    parts: Config
    batch_size: int | None

    def on(self, batch: CalibrationBatch) -> SearchedSetting:
        """Search on the batch by bisection: on plans, or on runs of a method that decides in the run."""
        method: HasKnob = self.method
        settings = settings_of(method, self.trajectory)
        # plans are bisected to the end: they are dear
        close = CLOSE if isinstance(method, DynamicPolicy) else None
        try:
            chosen: Affordable = bisected(
                method.knob, settings, lambda setting: self._share(setting, batch), self.at, close
            )
        except BudgetTooLow as error:
            return SearchedSetting(None, error.least, dict(vars(batch.spent)))
        return SearchedSetting(*chosen, dict(vars(batch.spent)))

    def _share(self, setting: Setting, batch: CalibrationBatch) -> float:
        candidate = with_setting(self.method, self.method.knob, setting)
        if isinstance(candidate, DynamicPolicy):
            return batch.share(candidate)
        assert isinstance(candidate, PlansOnBatch)
        return self.trajectory.share(candidate.plan_on(self.trajectory, batch))
