"""CEM places its full evaluations as its rule does in float64, whatever level it decides at."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.cem import CEM
from smoothbench.caching import CalibrationBatch, Trajectory, cosine_errors, find_sites, last_stream
from tests.oracles.cem import best, error
from tests.oracles.planned_run import PlannedRun
from tests.support.tiny_batch import cached_run, full_evaluations, tiny_batch
from tests.support.tiny_denoisers.unets import UNETS
from tests.support.tiny_dit import TinyDiT, build_tiny


@pytest.fixture(scope="module")
def streams() -> list[Tensor]:
    bare = PlannedRun(build_tiny().denoiser.double(), range(12), 12)
    bare.final()
    return bare.streams


@pytest.mark.parametrize(
    ("full", "slack", "power", "level"), [(4, 1, 2, "span"), (6, 2, 1, "branch"), (7, 1, 2, "span")]
)
def test_it_is_the_published_rule(
    tiny: TinyDiT, streams: list[Tensor], full: int, slack: int, power: int, level: str
) -> None:
    batch = tiny_batch(tiny, 12, level=level)
    schedule = CEM(full, slack=slack, power=power, level=level).plan_on(batch.trajectory, batch)
    chosen = full_evaluations(schedule)
    assert chosen == best(streams, full, slack, power) and batch.spent.runs == 1
    if level == "span":
        expected = PlannedRun(copy.deepcopy(tiny.denoiser).double(), chosen, 12).final()
        torch.testing.assert_close(cached_run(tiny, schedule).double(), expected, rtol=0, atol=2e-5)


def test_its_prior_is_one_minus_a_cosine(tiny: TinyDiT, streams: list[Tensor]) -> None:
    errors = cosine_errors(last_stream(tiny_batch(tiny, 12)), 3)
    assert errors.shape == (3, 12, 2)
    expected = [[error(streams, t, lag) if t >= lag else 0.0 for t in range(12)] for lag in (1, 2, 3)]
    torch.testing.assert_close(
        errors.mean(2), torch.tensor(expected, dtype=torch.float64), rtol=1e-3, atol=1e-7
    )


def test_its_knob(tiny: TinyDiT, streams: list[Tensor]) -> None:
    batch = tiny_batch(tiny, 12)
    settings = CEM(4).settings(batch.trajectory)
    assert settings == [12, *(full for full in range(11, 1, -1) if best(streams, full) is not None)]
    schedule = CEM(4).plan_on(batch.trajectory, batch)
    assert CEM(4).share_at(batch.trajectory, 4) == batch.trajectory.share(schedule) < 0.5
    assert torch.equal(batch.rollout(CEM(12).plan_on(batch.trajectory, batch)), batch.uncached)
    with pytest.raises(ValueError, match="cem cannot place full=1 full evaluations among 12: it can "):
        CEM(1).plan_on(batch.trajectory, batch)


def test_a_u_net_is_refused(tiny: TinyDiT) -> None:
    unet = UNETS["UNet2DModel"].build("UNet2DModel")
    trajectory = Trajectory(find_sites(unet, "span"), tuple(map(float, range(12))))
    batch = CalibrationBatch(unet, lambda announcer: tiny.run(), trajectory)
    with pytest.raises(ValueError, match="CEM needs a transformer's stack of blocks, and UNet2DModel is a"):
        CEM(4).plan_on(trajectory, batch)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"full": -1}, "full must be a whole number from 1, not -1"),
        ({"full": 4, "slack": -1}, "slack must be a whole number from 0, not -1"),
        ({"full": 4, "power": 0.5}, "power must be a whole number from 0, not 0.5"),
        ({"full": 4, "longest": 0}, "longest must be a whole number from 1, not 0"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CEM(**parameters)
