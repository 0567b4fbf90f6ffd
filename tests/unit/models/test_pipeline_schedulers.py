"""Schedulers that cannot be made, or that no loop steps, are refused in one line that names the setting."""

import re
from typing import Any

import pytest
from diffusers import DDIMScheduler, ScoreSdeVeScheduler

from smoothbench.models.pipeline.scheduler import scheduler_for
from smoothbench.solvers.pipeline_scheduler import PipelineScheduler


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"beta_schedule": "foo"}, "NotImplementedError: foo is not implemented"),
        ({"num_train_timesteps": "many"}, "TypeError: linspace() received an invalid combination"),
    ],
)
def test_values_that_a_scheduler_cannot_take(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"solver.config={config}: DDIMScheduler")) as refused:
        scheduler_for(PipelineScheduler(2, config=config), DDIMScheduler())
    assert reason in str(refused.value) and "\n" not in str(refused.value)


def test_a_setting_that_is_no_name() -> None:
    config: Any = {1: 2}
    with pytest.raises(ValueError, match=r"solver.config.1: DDIMScheduler has no such setting"):
        scheduler_for(PipelineScheduler(2, config=config), DDIMScheduler())


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("SchedulerMixin", DDIMScheduler()),
        ("ScoreSdeVeScheduler", DDIMScheduler()),
        (None, ScoreSdeVeScheduler()),
    ],
)
def test_a_class_that_no_loop_steps(name: str | None, published: Any) -> None:
    shown = name or type(published).__name__
    with pytest.raises(ValueError, match=f"solver.scheduler={shown}: this class has no method step"):
        scheduler_for(PipelineScheduler(2, name), published)
