"""What `model=pipeline` learns of finished samples: their kind and shape, by the solver that the run has."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench.config.instantiate import ready
from smoothbench.models.pipeline.model import Pipeline
from tests.support.saved_pipelines import FAMILIES, PICTURE, PROMPTS, Family, saved

TARGET = "smoothbench.solvers.pipeline_scheduler.PipelineScheduler"


def with_picture(name: str, folder: Path, **more: Any) -> dict[str, Any]:
    """Save a family's pipeline and a picture; return the arguments of an image-to-image call, without a size."""
    family = FAMILIES[name]
    given = {key: value for key, value in family.arguments.items() if key not in ("height", "width")}
    return saved(Family(family.build, {**given, "image": PICTURE, **more}), folder)


def pipeline(folder: Path, arguments: Mapping[str, Any], **more: Any) -> Pipeline:
    settings = {"prompts": list(PROMPTS), "arguments": arguments, "dtype": "float32", **more}
    return Pipeline(str(folder), torch.device("cpu"), **settings)


@pytest.mark.parametrize("strength", [0.3, 0.05])
def test_a_low_strength_leaves_the_first_steps_out(strength: float, tmp_path: Path) -> None:
    arguments = with_picture("SDXL", tmp_path, strength=strength)
    model = pipeline(tmp_path, arguments, pipeline="StableDiffusionXLImg2ImgPipeline")
    ready(model, "all", {"_target_": TARGET, "steps": 20})
    assert model.decoder == "image" and model.sample_shape == (3, 16, 16)


def test_the_solver_of_the_run_takes_the_place_of_one_that_draws_noise(tmp_path: Path) -> None:
    """The FLUX pipeline passes no generator to its scheduler: what refuses its own one says to choose another."""
    arguments = saved(FAMILIES["FLUX"], tmp_path)
    file = tmp_path / "scheduler/scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "stochastic_sampling": True}))
    model = pipeline(tmp_path, arguments)
    ready(model, "all", {"_target_": TARGET, "steps": 4, "config": {"stochastic_sampling": False}})
    assert model.decoder == "image" and model.forwards == 1
