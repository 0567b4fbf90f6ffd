"""DPCache places its full evaluations as its rule does in float64, and samples as that rule does."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from baselines.dpcache import DPCache
from smoothbench.caching import Taylor
from tests.oracles.dpcache import Tables
from tests.oracles.planned_run import PlannedRun
from tests.support.tiny_batch import cached_run, full_evaluations, tiny_batch
from tests.support.tiny_dit import TinyDiT, build_tiny


@pytest.fixture(scope="module")
def tables() -> Tables:
    bare = PlannedRun(build_tiny().denoiser.double(), range(12), 12)
    bare.final()
    return Tables(bare.streams)


@pytest.mark.parametrize("full", [6, 7, 9])
def test_it_is_the_published_rule(tiny: TinyDiT, tables: Tables, full: int) -> None:
    batch = tiny_batch(tiny, 12, "taylor2")
    schedule = DPCache(full).plan_on(batch.trajectory, batch)
    assert full_evaluations(schedule) == tables.published(full)
    assert schedule.meta["method"] == "dpcache" and schedule.meta["full"] == full
    assert batch.spent.runs == 1 and batch.spent.rollouts == 0
    double = copy.deepcopy(tiny.denoiser).double()
    expected = PlannedRun(double, full_evaluations(schedule), 12, order=2).final()
    torch.testing.assert_close(cached_run(tiny, schedule, "taylor2").double(), expected, rtol=0, atol=2e-5)


def test_it_predicts_as_the_point_does(tiny: TinyDiT) -> None:
    bare = PlannedRun(copy.deepcopy(tiny.denoiser).double(), range(12), 12)
    bare.final()
    batch = tiny_batch(tiny, 12, "taylor1")
    assert full_evaluations(DPCache(7).plan_on(batch.trajectory, batch)) == Tables(bare.streams, 1).published(
        7
    )


def test_the_made_up_output_after_the_last_evaluation_is_the_published_mixture() -> None:
    tiny = build_tiny(4)
    bare = PlannedRun(copy.deepcopy(tiny.denoiser).double(), range(12), 12)
    bare.final()
    batch = tiny_batch(tiny, 12, "taylor1")
    planned = full_evaluations(DPCache(4, reach=0.7).plan_on(batch.trajectory, batch))
    assert planned == Tables(bare.streams, 1, 0.7).published(4)


def test_it_predicts_at_timesteps_where_the_point_does(tiny: TinyDiT) -> None:
    bare = PlannedRun(copy.deepcopy(tiny.denoiser).double(), range(12), 12)
    bare.final()
    timesteps = tuple(999 * (1 - e / 12) ** 3 + 1 for e in range(12))
    batch = tiny_batch(tiny, 12)
    batch.predictor = Taylor(2, "timestep")
    trajectory = replace(batch.trajectory, coordinates=timesteps)
    planned = full_evaluations(DPCache(6, reach=0.5).plan_on(trajectory, batch))
    at = [*timesteps, 2 * timesteps[-1] - timesteps[-2]]
    assert planned == Tables(bare.streams, reach=0.5, at=at).published(6)
    assert planned != Tables(bare.streams, reach=0.5).published(6)


def test_the_exact_search_is_never_worse(tiny: TinyDiT, tables: Tables) -> None:
    batch = tiny_batch(tiny, 12, "taylor2")
    gains = []
    for full in range(6, 12):
        paths = [
            full_evaluations(DPCache(full, exact=e).plan_on(batch.trajectory, batch)) for e in (False, True)
        ]
        assert paths[1] == tables.best(full)
        gains.append(tables.cost(paths[0]) - tables.cost(paths[1]))
    assert min(gains) >= 0


def test_its_knob(tiny: TinyDiT) -> None:
    batch = tiny_batch(tiny, 12)
    assert DPCache(6).settings(batch.trajectory) == [12, 11, 10, 9, 8, 7, 6]
    assert DPCache(6, reach=1.0).settings(batch.trajectory)[-1] == 3
    schedule = DPCache(6).plan_on(batch.trajectory, batch)
    assert DPCache(6).share_at(batch.trajectory, 6) == batch.trajectory.share(schedule) < 0.6
    everything = DPCache(12).plan_on(batch.trajectory, batch)
    assert everything.skipped_share == 0
    assert torch.equal(batch.rollout(everything), batch.uncached)
    with pytest.raises(
        ValueError, match="dpcache cannot place full=5 full evaluations among 12: it can 6-12"
    ):
        DPCache(5).plan_on(batch.trajectory, batch)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"full": 0}, "full must be a whole number from 1, not 0"),
        ({"full": 9.5}, "full must be a whole number from 1, not 9.5"),
        ({"full": 9, "first": 2}, "first must be a whole number from 3, not 2"),
        (
            {"full": 9, "reach": 0.0},
            "reach must be a share of the evaluations, above 0 and at most 1, not 0.0",
        ),
        ({"full": 9, "level": "block"}, "level is"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DPCache(**parameters)
