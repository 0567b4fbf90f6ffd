"""Any value for any key: a valid plan, or one clear line; nothing of the wrong kind gets through."""

import math
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as effort
from omegaconf import DictConfig, OmegaConf

from smoothbench.config.expand import WHOLE
from smoothbench.config.instantiate import build_predictor
from smoothbench.errors import UsageError
from smoothbench.storage.results_folder import Store
from tests.support.any_config import JUNK, SCALARS, SOME, changed, is_number, is_whole, planned


def is_line(value: Any) -> bool:
    kinds = {unicodedata.category(letter) for letter in value} if isinstance(value, str) else {"Cc"}
    return bool(value) and not kinds & {"Cc", "Cs", "Zl", "Zp"}


Holds = Callable[[Any], bool]
TOP: dict[str, Holds] = {
    **{key: lambda v, ends=ends: is_whole(v, *ends) for key, ends in WHOLE.items()},  # type: ignore[misc]
    "experiment": lambda v: is_line(v) and ".." not in v.split("/") and not v.startswith("/"),
    "results_dir": is_line,
    "device": lambda v: v in ("auto", "cpu") or v.startswith("cuda"),
    "stage": lambda v: v in ("all", "cost", "latency"),
    "keep_samples": lambda v: isinstance(v, bool),
    "force": lambda v: isinstance(v, bool),
    "tf32": lambda v: isinstance(v, bool),
    "out": lambda v: v is None,  # there is no stage=calibrate beside it
    "seeds": lambda v: v is None or v == "0-3",
    "only": lambda v: v == [] or v is None,
    "points": lambda v: v == {},
    "calibration": lambda v: False,
    "latency": lambda v: False,
    "model": lambda v: isinstance(v, dict),  # looked into where it is built
    "metrics": lambda v: isinstance(v, dict),
    "solver": lambda v: False,
    "cache": lambda v: False,
    "reference": lambda v: False,
}
SOLVER: dict[str, Holds] = {
    "solver.steps": lambda v: is_whole(v, 2, 1000),
    "solver.train_steps": lambda v: is_whole(v, 50, 2**63),
    "solver._target_": lambda v: False,
    "solver.unknown": lambda v: False,
}
LABELS: dict[str, Holds] = {"label": is_line, "family": is_line, "policy._target_": lambda v: False}
CACHES: dict[str, dict[str, Holds]] = {
    "fora": {
        "policy.interval": lambda v: is_whole(v, 1, 2**63),
        "policy.orientation": lambda v: v == "repository",
        **LABELS,
    },
    "smoothcache": {
        "policy.alpha": lambda v: is_number(v) and v >= 0,
        "policy.k_max": lambda v: is_whole(v, 1, 2**63),
        "policy.group": lambda v: v in ("kind", "site"),
        "predictor": lambda v: v in ("reuse", "taylor1"),
        "policy.unknown": lambda v: False,
        "policy._partial_": lambda v: False,
        "policy": lambda v: False,
        "unknown": lambda v: False,
        "_target_": lambda v: False,
    },
    "smoothcache_at": {
        "policy.k_max": lambda v: type(v) is int,  # its bounds are SmoothCache's, when it plans
        "policy.like": lambda v: False,
        "policy.like.interval": is_number,
    },
    "none": {"label": is_line, "policy._target_": lambda v: v == "baselines.none.NoCache"},
}  # fmt: skip


def resolved(cfg: DictConfig, key: str) -> Any:
    value = OmegaConf.select(cfg, key)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def check(cfg: DictConfig | None, key: str, holds: Holds) -> None:
    if cfg is not None and planned(cfg) is not None:
        found = resolved(cfg, key)
        assert holds(found), f"{key}={found!r} was silently accepted"


@pytest.mark.parametrize("key", TOP)
@given(value=JUNK)
@example(value=True)
@example(value="two\nlines")
@example(value="0-" + "9" * 5000)
@SOME
def test_every_key_of_a_run(key: str, value: Any) -> None:
    check(changed(**{key: value}), key, TOP[key])


@pytest.mark.parametrize("solver", ["ddim", "dpmpp", "euler"])
@pytest.mark.parametrize("key", SOLVER)
@given(value=SCALARS)
@example(value=True)
@example(value="baselines.none.NoCache")
@effort(SOME, max_examples=6)
def test_every_key_of_a_solver(solver: str, key: str, value: Any) -> None:
    if not (isinstance(value, int) and value > 10**6 and key == "solver.train_steps"):  # it would be made
        check(changed(f"solver={solver}", **{key: value}), key, SOLVER[key])


@pytest.mark.parametrize(("method", "key"), [(m, k) for m, keys in CACHES.items() for k in keys])
@given(value=JUNK)
@example(value=True)
@example(value=math.nan)
@example(value="10")
@example(value=[[]])
@effort(SOME, max_examples=8)
def test_every_key_of_a_method(method: str, key: str, value: Any) -> None:
    check(changed(f"cache={method}", **{f"cache.{key}": value}), f"cache.{key}", CACHES[method][key])


@pytest.mark.parametrize("name", ["nul\0", "\ud800", "x" * 300])
def test_a_folder_that_no_file_system_has(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot write to .*: choose another results_dir"):
        Store(tmp_path / name).check()


@pytest.mark.parametrize(
    "key", ["num_samples", "seeds", "stage", "cache.policy.interval", "solver.steps", "metrics.psnr"]
)
def test_a_number_too_long_to_be_shown(key: str) -> None:
    cfg = changed("cache=fora", **{key: 10**5000})
    assert cfg is not None and planned(cfg) is None


def test_other_predictors_and_their_arguments() -> None:
    reuse = "smoothbench.caching.predictor.Reuse"
    build_predictor({"_target_": reuse}, "here")
    nodes: list[Any] = [{"_target_": reuse, "depth": True}, {"_target_": reuse, "depth": 1.0}, {"depth": 1}]
    for node in [*nodes, [], None, 3]:
        with pytest.raises(UsageError):
            build_predictor(node, "here")
