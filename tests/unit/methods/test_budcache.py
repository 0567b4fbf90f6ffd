"""BudCache's search finds the best mask where there are few, and keeps to its budget where there are many."""

import copy
import random
from typing import Any

import pytest
import torch

from baselines.budcache import BudCache, _Moves
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


class Walk:
    """Moves and chances that are given beforehand."""

    def __init__(self, masks: str, *chances: float) -> None:
        self.masks, self.chances, self.chance = list(masks), list(chances), self

    def start(self) -> Any:
        return self.masks.pop(0)

    def step(self, mask: Any) -> Any:
        return self.masks.pop(0)

    def random(self) -> float:
        return self.chances.pop(0)


@pytest.mark.parametrize(
    ("hottest", "coldest", "chances", "ends"),
    [
        (
            1.0,
            1.0,
            (0.90,),
            "d",
        ),  # c is worse than b by 0.1 and taken, as exp(-0.1) = 0.905; d is better than c
        (1.0, 1.0, (0.91, 0.99), "b"),  # c and d are refused
        (1e-3, 1e-3, (1e-9, 1e-9), "b"),  # nothing that is worse
        (1.0, 1e-3, (0.36, 0.99), "c"),  # the second of three moves has temperature 0.1: exp(-1) = 0.368
        (1.0, 1e-3, (0.37, 0.99), "b"),
    ],
)
def test_what_is_worse_is_taken_with_the_chance_that_the_temperature_leaves(
    hottest: float, coldest: float, chances: tuple[float, ...], ends: str
) -> None:
    losses: Any = {"a": 1.0, "b": 0.5, "c": 0.6, "d": 0.55 if hottest == coldest else 5.0}
    method, walk = BudCache(2, hottest=hottest, coldest=coldest), Walk("abcd", *chances)
    assert method._annealed(walk, losses.__getitem__, 3) == ends  # type: ignore[arg-type]
    assert not walk.masks and not walk.chances


def test_moves_are_mostly_of_one_evaluation_and_near() -> None:
    """Nine of ten move one evaluation, seven of ten of these to within 3, the others anywhere (released code)."""
    moves, mask = _Moves(40, 8, random.Random(0)), (0, 1, 5, 12, 20, 26, 33, 39)
    pairs = [(sorted({*mask} - {*(new := moves.step(mask))}), sorted({*new} - {*mask})) for _ in range(4000)]
    singles = [(old[0], new[0]) for old, new in pairs if len(old) == 1]
    assert len(singles) / 4000 == pytest.approx(0.9, abs=0.02)
    anywhere = sum(abs(old - new) <= 3 for old in mask[2:] for new in range(2, 40) if new not in mask) / (
        6 * 32
    )
    near = sum(abs(old - new) <= 3 for old, new in singles) / len(singles)
    assert near == pytest.approx(0.7 + 0.3 * anywhere, abs=0.03)
    assert all(new[0] >= 2 and old[0] >= 2 for old, new in pairs)  # the first quarter stays


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
