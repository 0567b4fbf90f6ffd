"""Bind a predictor to the sites of a run: some predict each site in its own way, some are fitted first."""

from collections.abc import Sequence
from typing import Protocol, cast, runtime_checkable

from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.policy import DynamicPolicy, Policy
from smoothbench.caching.predictor import Predictor, predictor_from
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.sites import Site
from smoothbench.caching.weighted_sum import WeightedSum


@runtime_checkable
class Bindable(Protocol):
    """A predictor that differs between sites, for example by weights that were calibrated for each.

    It stands where a predictor does. `depth` is the largest number of outputs that a site is predicted from, and
    `coordinate` that of all of them.
    """

    @property
    def depth(self) -> int: ...

    @property
    def coordinate(self) -> str: ...

    def bind(self, sites: Sequence[Site], evals: int | None) -> Sequence[Predictor]:
        """Return the predictor of each site; ValueError where it knows other sites or another number of evaluations.

        Args: evals, the number of evaluations of the run, None where it is not known.
        """
        ...


@runtime_checkable
class Fitting(Protocol):
    """A predictor that has to be fitted to the uncached calibration batch, for one schedule, before it predicts.

    It stands where a predictor does. `depth` is the largest number of outputs that it weighs.
    """

    @property
    def depth(self) -> int: ...

    def fit(self, schedule: Schedule, batch: BatchRuns) -> WeightedSum:
        """Return the weights of the kept outputs, for each site and evaluation that the schedule skips."""
        ...


def predictor_of(policy: Schedule | Policy | DynamicPolicy, predictor: str | Predictor | None) -> Predictor:
    """Return the predictor that is given, or else the weights that a schedule comes with, or else `reuse`."""
    if predictor is None and isinstance(policy, Schedule) and policy.weights is not None:
        return cast(Predictor, policy.weights)  # it is bound to sites, which then predict
    return predictor_from("reuse" if predictor is None else predictor)


def bound(predictor: Predictor | Bindable, sites: Sequence[Site], evals: int | None) -> Sequence[Predictor]:
    """Return the predictor of each site: the same one for all, unless it binds itself to sites."""
    if isinstance(predictor, Fitting):
        raise ValueError(f"{type(predictor).__name__} is not fitted: pass what fit(schedule, batch) gives")
    if not isinstance(predictor, Bindable):
        return [predictor] * len(sites)
    predictors = predictor.bind(sites, evals)
    if len(predictors) != len(sites):
        raise ValueError(
            f"{type(predictor).__name__}.bind gives {len(predictors)} predictors for {len(sites)} sites"
        )
    return predictors
