"""Configurations with any values in them, for hypothesis, and the plan that comes of them."""

import copy
import math
from functools import cache
from typing import Any

from hypothesis import HealthCheck
from hypothesis import settings as effort
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_policy, build_predictor, build_solver
from smoothbench.config.spec import Settings
from smoothbench.errors import UsageError
from smoothbench.sampling.devices import device_of
from tests.support.compose import composed

SOME = effort(
    deadline=None, derandomize=True, database=None, max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
NUMBERS = st.sampled_from([0, 1, 2, 3, 10, 50, 999, 1000, -1, 10**6, 10**7, 10**19, 2**63, 10**400])
FLOATS = st.sampled_from([0.0, -0.0, 0.15, 1.5, 2.0, 1e300, 1e-320, math.inf, -math.inf, math.nan])
TEXTS = st.sampled_from(
    ["", "10", "0.1", "true", "null", "a b", "two\nlines", "..", "/", "a/../../b", "nul\0", "\udcff",
     "x" * 999, "\u0661\u0662", "${nowhere}", "${num_samples}", "???", "${", "cpu", "cuda:99999999999",
     "fora", "0-3", "0-" + "9" * 5000, "builtins.dict", "os.getcwd",
     "baselines.none.NoCache", "no.such.thing", "no..dots"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | NUMBERS | FLOATS | TEXTS | st.text(max_size=5) | st.integers()
JUNK = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["_target_", "_partial_", "steps", "x", "", 1]), inner, max_size=2)
    ),
    max_leaves=4,
)


@cache
def base(*overrides: str) -> DictConfig:
    return composed(*overrides, "metrics=[psnr]")


def changed(*overrides: str, **values: Any) -> DictConfig | None:
    """A configuration with some values replaced; None where OmegaConf itself refuses them."""
    cfg = copy.deepcopy(base(*overrides))
    try:
        for key, value in values.items():
            OmegaConf.update(cfg, key.replace("__", "."), value, merge=False, force_add=True)
    except OmegaConfBaseException:
        return None
    return cfg


def planned(cfg: DictConfig) -> Settings | None:
    """The plan with its solvers and methods built, or None where it was refused in one line."""
    try:
        plan = settings(cfg)
        for spec in plan.specs:
            build_solver(spec.solver)
            build_policy(spec.policy, f"points.{spec.name}")
            build_predictor(spec.predictor, f"points.{spec.name}")
        device_of(plan.device)
    except UsageError as error:
        message = str(error)
        assert message and "\n" not in message and len(message) < 1000, message
        return None
    return plan


def is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
