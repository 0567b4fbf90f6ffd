"""Every method of conf/cache takes a budget on every kind of model, or is skipped with a reason of one line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import conf
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.planning.plan import plan_points
from smoothbench.planning.point import Point
from smoothbench.protocols import Model
from smoothbench.sampling.measured import Measured
from smoothbench.sampling.point_batches import cached_batch, check_realised_macs, evaluations
from smoothbench.storage.results_folder import Store
from tests.support.compose import composed

CACHES = sorted(path.stem for path in (Path(conf.__file__).parent / "cache").glob("*.yaml"))
FILES = {  # methods that follow a file need one that is there; it is never followed
    "schedule": "path=smoothcache-ddim50-alpha0.08.json",
    "l2c": "router=dit_nano-ddim50-every2-lambda1e-05.safetensors",
}
WITHOUT_KNOB = {"l2c", "none", "schedule", "smoothcache_at"}
MODELS = ("dit_nano", "stable_audio_nano", "opensora_nano")
# frames and sides of a sample, where it may be smaller than the model's own
SMALLER = {"opensora_nano": (2, 4, 4)}
AT = 0.4
SMALL = ("solver.steps=8", "num_samples=2", "batch_size=2", "calibration.num_samples=2", "device=cpu")


def points(name: str, folder: Path) -> Iterator[tuple[Point, Model]]:
    """All methods at one budget on one nano model; the reference is left out."""
    caches = [f"+cache@points.{cache}.cache={cache}" for cache in CACHES]
    shares = [f"+points.{cache}.at={AT}" for cache in CACHES]
    files = [f"points.{cache}.cache.policy.{file}" for cache, file in FILES.items()]
    plan = settings(composed(f"model={name}", *SMALL, *caches, *shares, *files))
    model = build_model(plan.model, torch.device("cpu"))
    model.sample_shape = (model.sample_shape[0], *SMALLER.get(name, model.sample_shape[1:]))
    sites = ChosenSites(model)
    measured = Measured(sites, Store(folder), force=False, runs=True)
    yield from ((point, model) for point in plan_points(plan, model, sites, measured)[1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_method_takes_a_budget_or_says_why_not(name: str, tmp_path: Path) -> None:
    skipped = set()
    for point, model in points(name, tmp_path):
        where = f"{point.spec.name} on {name}"
        assert point.planning_error is None, f"{where}: {point.planning_error}"
        if point.unsupported is not None:
            assert point.unsupported and "\n" not in point.unsupported, where
            skipped.add(point.spec.name)
            continue
        assert point.policy is not None and point.budget is not None and point.budget.expected is not None, (
            where
        )
        assert point.budget.expected <= AT, where
        _, run = cached_batch(point, model, range(2), lambda: None)
        check_realised_macs(point, model, run)
        share = point.trajectory.cost(evaluations(model, run)).total / point.uncached_macs
        assert share < 1 and (point.dynamic or share == point.budget.expected), f"{where}: {share}"
    assert skipped >= WITHOUT_KNOB
