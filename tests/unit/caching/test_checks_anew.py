"""What the check of the solver noted in a run that broke off says nothing of the next one."""

from typing import Any

import pytest
import torch

from smoothbench.caching import Schedule, StateMatching, cached, input_weights
from tests.support.guided_loop import GuidedLoop

EVALS = 8


def test_a_run_that_broke_off_between_two_forwards_leaves_nothing_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = GuidedLoop(EVALS, forwards=2)
    sites = loop.batch().trajectory.sites
    schedule = Schedule.steps(sites, [e in (0, 3, 6) for e in range(EVALS)])
    weights = StateMatching().fit(schedule, loop.batch())

    def full(*_: Any) -> Any:
        raise MemoryError("in the first forward of a skipped evaluation")

    with cached(loop.denoiser, schedule, predictor=weights) as run:
        before = loop.run(run.step)
        with monkeypatch.context() as patch, pytest.raises(MemoryError):
            patch.setattr(input_weights, "combined", full)
            loop.run(run.step)
        assert torch.equal(loop.run(run.step), before)
