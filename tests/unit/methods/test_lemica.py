"""LeMiCa takes the path whose worst segment is least, by errors that a float64 writing measures as well."""

import copy
from typing import Any

import pytest
import torch

from baselines.lemica import LeMiCa
from tests.oracles.lemica import best, segment_errors
from tests.oracles.planned_run import PlannedRun
from tests.support.tiny_batch import cached_run, full_evaluations, tiny_batch
from tests.support.tiny_dit import TinyDiT, build_tiny

EVALS, REACH = 8, 4


@pytest.fixture(scope="module")
def errors() -> dict[tuple[int, int], float]:
    return segment_errors(build_tiny().denoiser.double(), EVALS, REACH)


@pytest.mark.parametrize("full", [3, 4, 6])
def test_it_is_the_published_rule(tiny: TinyDiT, errors: dict[tuple[int, int], float], full: int) -> None:
    batch = tiny_batch(tiny, EVALS)
    schedule = LeMiCa(full, reach=REACH).plan_on(batch.trajectory, batch)
    chosen = full_evaluations(schedule)
    assert chosen == best(errors, EVALS, full)
    expected = PlannedRun(copy.deepcopy(tiny.denoiser).double(), chosen, EVALS).final()
    torch.testing.assert_close(cached_run(tiny, schedule).double(), expected, rtol=0, atol=2e-5)


def test_only_segments_of_possible_paths_are_measured(tiny: TinyDiT) -> None:
    batch = tiny_batch(tiny, EVALS)
    LeMiCa(3, reach=REACH).plan_on(batch.trajectory, batch)
    assert batch.spent.rollouts == 4  # over the one full evaluation between: 3 or 4
    LeMiCa(7, reach=REACH).plan_on(batch.trajectory, batch)
    assert batch.spent.rollouts == 4 + 6  # one evaluation is reused


def test_its_knob(tiny: TinyDiT) -> None:
    batch = tiny_batch(tiny, EVALS)
    assert LeMiCa(4, reach=3).settings(batch.trajectory) == [8, 7, 6, 5, 4]
    schedule = LeMiCa(4, reach=3).plan_on(batch.trajectory, batch)
    assert LeMiCa(4).share_at(batch.trajectory, 4) == batch.trajectory.share(schedule) < 0.6
    assert torch.equal(batch.rollout(LeMiCa(8).plan_on(batch.trajectory, batch)), batch.uncached)
    with pytest.raises(ValueError, match="lemica cannot place full=2 full evaluations among 8: it can 4-8"):
        LeMiCa(2, reach=3).plan_on(batch.trajectory, batch)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"full": "4"}, "full must be a whole number from 1, not '4'"),
        ({"full": 4, "reach": 0}, "reach must be a whole number from 1, not 0"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LeMiCa(**parameters)
