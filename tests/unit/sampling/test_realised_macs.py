"""What ran is held against what was planned."""

import pytest
import torch

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.planning.calibrated import Uncalibrated
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.planning.plan import plan_point
from smoothbench.sampling.point_batches import cached_batch, check_realised_macs
from tests.support.compose import composed


def test_executed_forwards_cost_what_the_schedule_says_or_the_point_fails() -> None:
    plan = settings(composed("cache=fora", "solver.steps=4"))
    model = build_model(plan.model, torch.device("cpu"))
    point = plan_point(plan.specs[-1], model, ChosenSites(model), Uncalibrated(), plan.batch_size)
    _, run = cached_batch(point, model, range(2), lambda: None)
    check_realised_macs(point, model, run)
    for more in (-1, 1):
        run.counts[0] += more
        with pytest.raises(RuntimeError, match=r"executed forwards cost \d+ MACs a sample, but the schedule"):
            check_realised_macs(point, model, run)
        run.counts[0] -= more
