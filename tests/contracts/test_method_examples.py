"""The examples of methods in the documents run as they stand."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench import caching
from smoothbench.caching import CalibrationBatch, Trajectory, cached, find_sites
from smoothbench.caching.knobs import dearest_within, settings_of, with_setting
from smoothbench.caching.mac_counter import site_costs
from tests.support.tiny_dit import TinyDiT

TEXT = (Path(__file__).parents[2] / "docs/architecture.md").read_text()


def within(method: Any, trajectory: Trajectory, budget: float) -> Any:
    """A method at the dearest setting of its knob that costs at most the budget."""

    def share(setting: float) -> float:
        return trajectory.share(with_setting(method, method.knob, setting).plan(trajectory))

    settings = settings_of(method, trajectory)
    return with_setting(method, method.knob, dearest_within(method.knob, settings, share, budget).setting)


@pytest.fixture(scope="module")
def examples() -> dict[str, Any]:
    names: dict[str, Any] = {**vars(caching), "dataclass": dataclass, "field": field, "__name__": "examples"}
    section = TEXT.partition("## Kinds of methods")[2].partition("\n## ")[0]
    known = set(names)
    for block in re.findall(r"```python\n(.*?)```", section, re.S):
        exec(block, names)
    return {name: part for name, part in names.items() if name not in known}


def test_every_kind_has_an_example_that_caches(tiny: TinyDiT, examples: dict[str, Any]) -> None:
    bare, sites = tiny.run(), find_sites(tiny.denoiser, "span")
    measured, rest = site_costs(tiny.denoiser, sites, lambda: tiny.run(evals=1, batch=1), samples=1)
    trajectory = Trajectory(measured, tuple(map(float, range(12))), rest.total, rest.linear)

    def sample(announcer: Any) -> torch.Tensor:
        return tiny.run(before=announcer.step)

    batch = CalibrationBatch(tiny.denoiser, sample, trajectory, rows_per_sample=2)
    every_second = examples["EverySecond"](level="span").plan(trajectory)
    weights = examples["BestScale"]().fit(every_second, batch)
    methods: dict[str, tuple[Any, Any]] = {
        "EverySecond": (every_second, "reuse"),
        "FirstBlock": (examples["FirstBlock"](0.3), "reuse"),
        "LastBlockChecks": (examples["LastBlockChecks"](), "taylor1"),
        "LeastDamage": (examples["LeastDamage"](skips=4).plan_on(trajectory, batch), "reuse"),
        "BestScale": (every_second, weights),
        "both_ends": (examples["both_ends"].plan(trajectory), "taylor1"),
        "EveryNth": (within(examples["EveryNth"](n=1), trajectory, 0.5).plan(trajectory), "reuse"),
    }
    assert methods.keys() == examples.keys()
    outputs = {}
    for name, (policy, predictor) in methods.items():
        with cached(tiny.denoiser, policy, predictor=predictor, evals=12) as run:
            outputs[name] = tiny.run()
        assert 0 < run.skipped_share < 1, name
    assert all(not torch.equal(x, bare) for x in outputs.values())
