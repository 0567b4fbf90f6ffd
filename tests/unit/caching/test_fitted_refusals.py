"""Fitted refuses what it cannot plan or fit: parameters out of range, too few samples, no finer run, NaN."""

from typing import Any

import pytest
import torch

from smoothbench.caching import Fitted, Schedule, StateMatching
from tests.support.guided_loop import GuidedLoop

EVALS = 8


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Fitted(1), "full must be a whole number from 2, not 1"),
        (lambda: Fitted(0), "full must be a whole number from 2, not 0"),
        (lambda: Fitted(4, ridge=-1.0), "ridge must be a finite number from 0, not -1.0"),
        (lambda: Fitted(4, target="x0"), "target is one of uncached, fine, not 'x0'"),
        (lambda: Fitted(4, substeps=1), "substeps must be a whole number from 2, not 1"),
        (lambda: Fitted(4, last=4), "last must be a whole number from 0 to 3, not 4"),
        (lambda: StateMatching(0), "depth must be a whole number from 1, not 0"),
    ],
)
def test_bad_parameters(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_too_few_samples_for_the_history() -> None:
    loop = GuidedLoop(evals=66, samples=1)  # of 64 values
    schedule = Schedule.steps(loop.batch().trajectory.sites, [e < 65 for e in range(66)])
    message = (
        "65 weights cannot be fitted to the 64 values of 1 calibration samples: take more samples, or a depth"
    )
    with pytest.raises(ValueError, match=message):
        StateMatching(depth=64).fit(schedule, loop.batch())


def test_what_cannot_be_planned_or_fitted() -> None:
    loop = GuidedLoop(EVALS)
    batch = loop.batch()
    with pytest.raises(ValueError, match="cannot place full=9 full evaluations among 8"):
        Fitted(9).plan_on(batch.trajectory, batch)
    with pytest.raises(ValueError, match="a fine run needs a solver with sub-steps"):
        Fitted(4, target="fine").plan_on(batch.trajectory, batch)
    with torch.no_grad():
        next(loop.denoiser.parameters()).fill_(torch.nan)
    batch = loop.batch()
    with pytest.raises(ValueError, match="the state at evaluation 1 of the recorded run is not finite"):
        Fitted(4).plan_on(batch.trajectory, batch)
