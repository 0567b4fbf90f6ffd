"""Rollouts that an earlier planning has sampled are counted, but not sampled again, and plans stay the same."""

import pytest
import torch

from baselines.lemica import LeMiCa
from smoothbench.caching import Schedule
from smoothbench.caching.known_rollouts import KnownRollouts
from smoothbench.caching.mac_counter import MacCounter
from tests.support.small_policies import LeastSquares
from tests.support.tiny_batch import tiny_batch
from tests.support.tiny_dit import TinyDiT

EVALS = 8


def test_a_second_budget_samples_no_segment_again(tiny: TinyDiT) -> None:
    known, spent = KnownRollouts(), []
    for full, new in ((6, True), (6, False), (4, True)):
        known.begin("this batch")
        alone, batch = tiny_batch(tiny, EVALS), tiny_batch(tiny, EVALS, known=known)
        expected = LeMiCa(full, reach=4).plan_on(alone.trajectory, alone)
        with MacCounter() as counter:
            assert LeMiCa(full, reach=4).plan_on(batch.trajectory, batch) == expected
        assert batch.spent == alone.spent  # what planning costs does not depend on what ran before
        spent.append(counter.macs().total)
        assert (known.used < batch.spent.rollouts) == new
    assert spent[1] < spent[0] / 4 and known.used > 0
    schedule = Schedule.steps(batch.trajectory.sites, [True, False] * 4)
    assert torch.equal(batch.rollout(schedule), batch.rollout(schedule))


def test_another_predictor_is_sampled(tiny: TinyDiT) -> None:
    batch = tiny_batch(tiny, EVALS, known=(known := KnownRollouts()))
    schedule = Schedule.steps(batch.trajectory.sites, [True, True, False, True] * 2)
    reused = batch.rollout(schedule)
    assert not torch.equal(batch.rollout(schedule, "taylor1"), reused) and known.used == 0
    assert torch.equal(batch.rollout(schedule), reused) and known.used == 1
    fitted = tiny_batch(tiny, EVALS, LeastSquares(2), known=(known := KnownRollouts()))
    assert torch.equal(fitted.rollout(schedule), fitted.rollout(schedule)) and known.used == 0


@pytest.mark.parametrize(("room", "used"), [(0, 0), (10**6, 1)])
def test_what_does_not_fit_is_sampled_again(tiny: TinyDiT, room: int, used: int) -> None:
    batch = tiny_batch(tiny, EVALS, known=(known := KnownRollouts(room)))
    schedule = Schedule.steps(batch.trajectory.sites, [True, False] * 4)
    assert torch.equal(batch.rollout(schedule), batch.rollout(schedule)) and known.used == used
    known.begin("another batch")
    batch.rollout(schedule)
    assert known.used == 0
