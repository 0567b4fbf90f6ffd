"""BudCache's search finds the best mask where there are few, and keeps to its budget where there are many."""

import copy
from typing import Any

import pytest
import torch

from baselines.budcache import BudCache
from tests.oracles.budcache import losses
from tests.oracles.planned_run import PlannedRun
from tests.support.tiny_batch import cached_run, full_evaluations, tiny_batch
from tests.support.tiny_dit import TinyDiT

EVALS = 7


@pytest.mark.parametrize("full", [2, 3, 5])
def test_it_finds_the_best_of_all_masks(tiny: TinyDiT, full: int) -> None:
    double = copy.deepcopy(tiny.denoiser).double()
    expected = losses(double, EVALS, full)
    batch = tiny_batch(tiny, EVALS)
    schedule = BudCache(full).plan_on(batch.trajectory, batch)
    chosen = tuple(full_evaluations(schedule))
    assert chosen == min(expected, key=lambda mask: expected[mask])
    assert batch.spent.rollouts <= len(expected)  # no mask is run twice
    final = cached_run(tiny, schedule).double()
    torch.testing.assert_close(final, PlannedRun(double, chosen, EVALS).final(), rtol=0, atol=2e-5)


def test_it_keeps_to_its_budget(tiny: TinyDiT) -> None:
    plans = []
    for runs in (1, 9, 9):
        batch = tiny_batch(tiny, 12)
        plans.append(BudCache(5, search=runs * 12 * 2).plan_on(batch.trajectory, batch))
        assert batch.spent.rollouts == runs and batch.spent.evaluations == (runs + 1) * 12 * 2
    assert plans[1] == plans[2]  # the same seed, the same search
    change = [float((batch.rollout(plan) - batch.uncached).square().mean()) for plan in plans[:2]]
    assert change[1] <= change[0]
    with pytest.raises(
        ValueError, match="search=23 evaluations pay for no run of the calibration batch, which takes 24"
    ):
        BudCache(5, search=23).plan_on(batch.trajectory, batch)


def test_at_no_temperature_nothing_that_is_worse_is_taken(tiny: TinyDiT) -> None:
    batch = tiny_batch(tiny, 5)
    cold, usual = (
        BudCache(2, **how).plan_on(batch.trajectory, batch)
        for how in ({"hottest": 1e-12, "coldest": 1e-12}, {})
    )
    assert cold.computed == usual.computed


def test_its_seed_says_where_the_search_begins(tiny: TinyDiT) -> None:
    batch = tiny_batch(tiny, 12)
    starts = [
        full_evaluations(BudCache(5, search=24, seed=seed).plan_on(batch.trajectory, batch))
        for seed in (0, 1, 2, 0)
    ]
    assert starts[0] == starts[3] and len(set(map(tuple, starts))) == 3


def test_its_knob(tiny: TinyDiT) -> None:
    batch = tiny_batch(tiny, 5)
    assert BudCache(2).settings(batch.trajectory) == [5, 4, 3, 2, 1]
    schedule = BudCache(1).plan_on(batch.trajectory, batch)
    assert full_evaluations(schedule) == [0]
    assert BudCache(2).share_at(batch.trajectory, 1) == batch.trajectory.share(schedule) < 0.3
    assert torch.equal(batch.rollout(BudCache(5).plan_on(batch.trajectory, batch)), batch.uncached)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"search": 0}, "search must be a whole number from 1, not 0"),
        ({"annealing": -1}, "annealing must be a whole number from 0, not -1"),
        ({"coldest": 0.0}, "temperatures fall from hottest to coldest above 0, not 0.05 to 0.0"),
        ({"hottest": 1e-6}, "temperatures fall from hottest to coldest above 0"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BudCache(4, **parameters)
