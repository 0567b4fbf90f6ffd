"""Bind a predictor to the sites of a run: some predict each site in its own way."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from smoothbench.caching.predictor import Predictor
from smoothbench.caching.sites import Site


@runtime_checkable
class Bindable(Predictor, Protocol):
    """A predictor that differs between sites, for example by weights that were calibrated for each."""

    def bind(self, sites: Sequence[Site], evals: int | None) -> Sequence[Predictor]:
        """Return the predictor of each site; ValueError where it knows other sites or another number of evaluations.

        Args: evals, the number of evaluations of the run, None where it is not known.
        """
        ...


def bound(predictor: Predictor, sites: Sequence[Site], evals: int | None) -> Sequence[Predictor]:
    """Return the predictor of each site: the same one for all, unless it binds itself to sites."""
    if not isinstance(predictor, Bindable):
        return [predictor] * len(sites)
    predictors = predictor.bind(sites, evals)
    if len(predictors) != len(sites):
        raise ValueError(
            f"{type(predictor).__name__}.bind gives {len(predictors)} predictors for {len(sites)} sites"
        )
    return predictors
