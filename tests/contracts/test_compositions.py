"""Contracts of composition: any predictor on any mask of conf/cache, and one line of YAML for what users ask for."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import get_class

import conf
from smoothbench.caching import (
    ErrorCurves,
    Evaluation,
    LastComputed,
    Probe,
    Range,
    Schedule,
    Trajectory,
    Warmup,
    cached,
    calibrate,
)
from smoothbench.caching.binding import Fitting
from smoothbench.caching.knobs import KnowsShare, with_setting
from smoothbench.caching.policy import DynamicPolicy, FitsOnBatch, PlansOnBatch
from smoothbench.caching.sites_of_policy import sites_of
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_policy, build_predictor
from tests.support.compose import composed
from tests.support.tiny_dit import TinyDiT, batch_of, build_tiny

EVALS = 6
FROM_FILES = ("schedule", "l2c")  # made for one model
NODES: Mapping[str, Any] = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((Path(conf.__file__).parent / "cache").glob("*.yaml"))
}
SHORT = ("reuse", "taylor1", "taylor2", "taylor3", "taylor4")
# by the method that has it; one that sees a branch's input has no mask of its own
PREDICTORS = {name: node["predictor"] for name, node in NODES.items() if isinstance(node["predictor"], dict)}
ON_FORA = [
    name
    for name, node in NODES.items()
    if node["policy"]["_target_"].endswith(".FORA") and node["predictor"] != "reuse"
]


@cache
def method_of(name: str) -> Any:
    """A method of conf/cache, for a short run: with a short warm-up, and a planner with few full evaluations."""
    short = [f"cache.policy.{key}=1" for key in ("warmup", "warmup_steps") if key in NODES[name]["policy"]]
    spec = settings(composed(f"cache={name}", f"solver.steps={EVALS}", *short)).specs[-1]
    method: Any = build_policy(spec.policy, name)
    if isinstance(method, PlansOnBatch) and isinstance(method, KnowsShare):
        choices = method.settings(short_run()[1].trajectory)
        return with_setting(method, method.knob, choices[len(choices) // 2])
    return method


def masks() -> list[str]:
    """The methods of conf/cache whose mask is planned before the run, each policy once."""
    policies = {str(node["policy"]): name for name, node in reversed(NODES.items()) if name not in FROM_FILES}
    return sorted(name for name in policies.values() if name not in dynamic())


def dynamic() -> list[str]:
    classes = {name: get_class(node["policy"]["_target_"]) for name, node in NODES.items()}
    return [name for name, cls in classes.items() if issubclass(cls, DynamicPolicy)]


@cache
def short_run() -> tuple[TinyDiT, ErrorCurves]:
    dit = build_tiny()
    short = TinyDiT(dit.denoiser, EVALS)
    return short, calibrate(short.denoiser, short.run, samples=2)


def planned(name: str) -> Schedule:
    """The mask of a method on the tiny model."""
    dit, curves = short_run()
    method = method_of(name)
    on = replace(curves.trajectory, sites=sites_of(method, dit.denoiser))
    if isinstance(method, PlansOnBatch):
        return method.plan_on(on, batch_of(dit, on))
    schedule: Schedule = method.plan(on, curves if method.needs_curves else None)
    return schedule


@pytest.mark.parametrize("mask", masks())
def test_any_predictor_fills_any_mask(mask: str) -> None:
    dit, curves = short_run()
    schedule = planned(mask)
    on = replace(curves.trajectory, sites=sites_of(method_of(mask), dit.denoiser))
    for node in (*SHORT, *PREDICTORS.values()):
        predictor: Any = build_predictor(node, mask)
        if isinstance(predictor, Fitting):
            predictor = predictor.fit(schedule, batch_of(dit, on))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="the cache policy skipped nothing")
            with cached(dit.denoiser, schedule, predictor=predictor, evals=EVALS) as run:
                x = dit.run()
        assert x.isfinite().all() and run.calls == schedule.calls(), node


@pytest.mark.parametrize("name", dynamic())
def test_a_method_that_decides_in_the_run_is_composed(name: str) -> None:
    dit, curves = short_run()
    around: Any = LastComputed(Warmup(method_of(name), 3), 1)
    on = replace(curves.trajectory, sites=sites_of(around, dit.denoiser))
    if isinstance(around, FitsOnBatch) and not around.is_fitted:
        around = around.fitted(around.fit_on(on, batch_of(dit, on)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the cache policy skipped nothing")
        with cached(dit.denoiser, around, predictor=predictor_of(name), evals=EVALS) as run:
            dit.run()
    assert all(all(run.realised[e]) for e in (0, 1, 2, EVALS - 1))
    assert around.knob == f"policy.policy.{method_of(name).knob}"


class Asked(Warmup):
    """A warm-up that leaves what it computes to the method inside, which is told that it is computed."""

    def _decide(self, evaluation: Evaluation) -> Sequence[bool]:
        bits: Sequence[bool] = self.policy.decide(self._seen(evaluation))
        return bits

    def _decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        bits: Sequence[bool] = self.policy.decide_after(probe, self._seen(evaluation), value)
        return bits


@pytest.mark.parametrize("name", dynamic())
def test_a_method_that_decides_in_the_run_computes_where_it_is_forced(name: str) -> None:
    """It takes that for its own decision, so that what it remembers is what was computed."""
    dit, curves = short_run()
    method = method_of(name)
    if isinstance(method, FitsOnBatch) and not method.is_fitted:
        on = replace(curves.trajectory, sites=sites_of(method, dit.denoiser))
        method = method.fitted(method.fit_on(on, batch_of(dit, on)))
    cheapest: Any = with_setting(method, method.knob, _cheapest(method, curves.trajectory))
    with cached(dit.denoiser, Asked(cheapest, 3), predictor=predictor_of(name), evals=EVALS) as run:
        dit.run()
    assert all(all(run.realised[e]) for e in range(3)) and not all(run.realised[3])


def _cheapest(method: Any, trajectory: Trajectory) -> float:
    choices = method.settings(trajectory)
    return float(choices.cheapest if isinstance(choices, Range) else choices[-1])


def predictor_of(name: str) -> Any:
    return build_predictor(NODES[name]["predictor"], name)


@pytest.mark.parametrize("name", ON_FORA)
def test_a_predictor_is_compared_on_both_orientations_by_one_line(name: str) -> None:
    """In an experiment that is `sweep: {cache.policy.orientation: [repository, mirrored]}`."""
    plans = []
    for orientation in ("repository", "mirrored"):
        spec = settings(composed(f"cache={name}", f"cache.policy.orientation={orientation}")).specs[-1]
        dit, curves = short_run()
        method: Any = build_policy(spec.policy, name)
        plans.append(
            (method.plan(replace(curves.trajectory, sites=sites_of(method, dit.denoiser))), spec.label)
        )
    (repository, label), (mirrored, other) = plans
    assert repository.computed == mirrored.computed[::-1] != mirrored.computed and label != other


LINES = {
    "teacache": ["cache.predictor=taylor1"],
    "smoothcache_at": ["cache.predictor={_target_:baselines.hicache.HiCache}"],
    "fora": ["cache.policy.level=span", "cache.predictor=taylor2"],
}


@pytest.mark.parametrize("name", [name for name in LINES if name in NODES])
def test_a_mask_with_another_predictor_is_one_line(name: str) -> None:
    if "hicache" in str(LINES[name]) and "hicache" not in NODES:
        pytest.skip("no such predictor")
    spec = settings(composed(f"cache={name}", *LINES[name])).specs[-1]
    assert build_policy(spec.policy, name) and build_predictor(spec.predictor, name)
    assert spec.predictor != NODES[name]["predictor"]


def test_the_method_whose_budget_is_taken_is_at_the_same_level() -> None:
    spec = settings(composed("cache=smoothcache_at", "cache.policy.level=span")).specs[-1]
    method: Any = build_policy(spec.policy, "cache.policy")
    assert method.like.level == method.level == "span"


def test_a_sweep_over_both_orientations_is_two_points() -> None:
    cfg = composed("+exp=smoke")
    cfg.points = {
        "both": {
            "cache": {**NODES["fora"], "predictor": "taylor1"},
            "sweep": {"cache.policy.orientation": ["repository", "mirrored"]},
        }
    }
    labels = [spec.label for spec in settings(cfg).specs if not spec.reference]
    assert len(labels) == len(set(labels)) == 2


ORDER_1 = """
_target_: smoothbench.caching.Warmup
policy:
  _target_: smoothbench.caching.LastComputed
  policy:
    _target_: smoothbench.caching.SmoothCacheAtBudget
    like: {_target_: baselines.fora.FORA, interval: 3}
  last: 1
first: 2
"""


def test_methods_are_nested_in_yaml() -> None:
    """SmoothCache on FORA's budget, its first two and its last evaluation computed."""
    dit, curves = short_run()
    method: Any = build_policy(yaml.safe_load(ORDER_1), "cache.policy")
    plan = method.plan(curves.trajectory, curves)
    inside = method.policy.policy.plan(curves.trajectory, curves)
    assert plan.computed[2:-1] == inside.computed[2:-1] and all(map(all, plan.computed[:2]))
    with cached(dit.denoiser, plan, predictor="taylor1") as run:
        dit.run()
    assert run.calls == plan.calls()
