"""Rollouts that go on from the uncached run give the bits of those that begin at the noise, and cost less."""

import pytest
import torch

from smoothbench.caching import CalibrationBatch, Schedule, Trajectory
from smoothbench.caching.mac_counter import MacCounter
from smoothbench.caching.predictor import predictor_from
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model, build_solver
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.sampling.on_batch import calibration_batch
from tests.support.compose import composed
from tests.support.small_policies import LeastDamage

CALIBRATION = {"seed": 999, "num_samples": 3, "draw": 0, "unconditional": False}
BITS = [True, True, True, False, True, False]


def batch_of(size: int) -> CalibrationBatch:
    """Three clips of a sampler that draws noise at every step, `size` at a time, over the whole stack."""
    spec = settings(composed("model=stable_audio_nano", "solver.steps=6", "device=cpu"))
    model, solver = build_model(spec.model, torch.device("cpu")), build_solver(spec.specs[0].solver)
    trajectory: Trajectory = ChosenSites(model).trajectory(LeastDamage(1, level="span"), solver.coordinates)
    return calibration_batch(model, solver, CALIBRATION, trajectory, predictor_from("reuse"), size)


@pytest.mark.parametrize(("size", "predictor", "first"), [(3, "reuse", 2), (2, "taylor1", 1)])
def test_a_rollout_goes_on_from_the_uncached_run(size: int, predictor: str, first: int) -> None:
    batch = batch_of(size)
    schedule = Schedule.steps(batch.trajectory.sites, BITS)
    whole = CalibrationBatch(
        batch.denoiser, lambda announcer: batch._sample(announcer), batch.trajectory, predictor
    )
    expected = whole.rollout(schedule)
    assert torch.equal(batch.uncached, whole.uncached)
    spent = batch.spent
    with MacCounter() as counter:
        assert torch.equal(batch.rollout(schedule, predictor), expected)
    assert batch.spent.evaluations - spent.evaluations == (6 - first) * 3
    assert batch.spent.macs - spent.macs == counter.macs().total < whole.spent.macs / 2
