"""Any value for any key of an experiment's points, of a model and of metrics."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import UsageError
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import FeatureCache
from tests.support.any_config import JUNK, SCALARS, SOME, base, changed, is_number, is_whole, planned


@given(
    key=st.sampled_from(["", ".cache", ".solver", ".solver.steps", ".calibration", ".calibration.draw",
                         ".sweep", ".swep", ".seed", ".cache.policy.interval", ".cache.policy", ".cache.interval",
                         ".cache.label"]),
    value=JUNK,
)  # fmt: skip
@example(key=".cache", value="\x1f")
@example(key=".cache", value="10")
@example(key=".swep", value={"cache.policy.interval": [2]})
@example(key=".calibration.sed", value=1)
@example(key=".sweep", value={1: [2]})
@example(key=".sweep", value={"cache": [5]})
@example(key=".sweep", value={"cache.policy.interval": []})
@example(key=".sweep", value={"cache.policy.interval": [True]})
@example(key=".sweep", value={"solver.steps.x": [2]})
@example(key=".sweep", value={"cache[": [2]})
@example(key=".sweep", value={"calibration": [None]})
@effort(SOME, max_examples=40)
def test_every_key_of_a_point(key: str, value: Any) -> None:
    cfg = changed("+exp=smoke", **{f"points.fora{key}": value})
    plan = planned(cfg) if cfg is not None else None
    for spec in plan.specs if plan else []:
        assert spec.solver.keys() == {"_target_", "steps"} and is_whole(spec.solver["steps"], 2, 1000)
        assert spec.calibration.keys() == {"seed", "num_samples", "draw", "k_max", "unconditional"}
        assert type(spec.policy.get("interval", 2)) is int
    if plan and key in (".swep", ".seed", ".calibration.sed"):
        pytest.fail(f"points.fora{key} was silently accepted")


@pytest.fixture(scope="module")
def cpu_model() -> Any:
    return build_model(settings(base()).model, torch.device("cpu"))


@pytest.mark.parametrize("key", ["guidance", "path", "name", "_target_", "unknown"])
@given(value=SCALARS)
@example(value=True)
@example(value="2")
@effort(SOME, max_examples=4)
def test_every_key_of_a_model(key: str, value: Any) -> None:
    holds = {"guidance": is_number, "name": lambda v: isinstance(v, str)}.get(key, lambda v: False)
    cfg = changed(**{f"model.{key}": value})
    try:
        if cfg is not None:
            node = settings(cfg).model
            build_model(node, torch.device("cpu"))
            assert holds(node[key]), f"model.{key}={node[key]!r} was silently accepted"
    except UsageError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "key", ["", ".psnr", ".psnr.metric", ".psnr.metric.cap", ".psnr.metric._target_", ".psnr.encoder",
            ".psnr.real", ".psnr.unknown", ".a b"]
)  # fmt: skip
@given(value=JUNK)
@example(value=True)
@example(value="7")
@example(value=math.inf)
@example(value={"_target_": "baselines.none.NoCache"})
@effort(SOME, max_examples=8)
def test_every_key_of_a_metric(cpu_model: Any, tmp_path: Path, key: str, value: Any) -> None:
    cfg = changed(**{f"metrics{key}": value})
    try:
        if cfg is not None:
            nodes = settings(cfg).metrics
            Scorer(nodes, cpu_model, FeatureCache(tmp_path))
            assert nodes == {} or is_number(nodes["psnr"]["metric"]["cap"])
            assert key in ("", ".psnr.metric.cap"), f"metrics{key}={value!r} was silently accepted"
    except UsageError as error:
        assert "\n" not in str(error)
