"""Methods around other methods: some evaluations are computed whatever the other one decides, in any kind of method."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.fora import FORA
from smoothbench.caching import (
    Evaluation,
    HasKnob,
    LastComputed,
    Probe,
    Site,
    SmoothCache,
    Trajectory,
    Warmup,
    cached,
    calibrate,
    find_sites,
)
from smoothbench.caching.knobs import dearest_within, settings_of, with_setting
from smoothbench.caching.mac_counter import site_costs
from smoothbench.caching.policy import DynamicPolicy, Observing, PlansOnBatch, Probing
from tests.support.small_policies import FirstInput, LargestChanges, LastBlockChecks
from tests.support.tiny_dit import TinyDiT, batch_of

FORA_3 = [0, 2, 5, 8, 11]  # of 12 evaluations, as its repository counts


def trajectory(tiny: TinyDiT, level: str = "branch") -> Trajectory:
    sites = find_sites(tiny.denoiser, level)
    measured, rest = site_costs(tiny.denoiser, sites, lambda: tiny.run(evals=1, batch=1), samples=1)
    return Trajectory.over((measured, rest), tuple(map(float, range(12))))


def full(bits: Sequence[Sequence[bool]]) -> list[int]:
    return [e for e, row in enumerate(bits) if all(row)]


@pytest.mark.parametrize(
    ("method", "expected", "meta"),
    [
        (Warmup(FORA(3), 4), [0, 1, 2, 3, 5, 8, 11], {"warmup": 4}),
        (LastComputed(FORA(3), 3), [0, 2, 5, 8, 9, 10, 11], {"last_computed": 3}),
        (
            Warmup(LastComputed(FORA(3), 2), 2),
            [0, 1, 2, 5, 8, 10, 11],
            {"warmup": 2, "last_computed": 2},
        ),
        (
            LastComputed(Warmup(FORA(3), 2), 2),
            [0, 1, 2, 5, 8, 10, 11],
            {"warmup": 2, "last_computed": 2},
        ),
        (Warmup(LastComputed(FORA(3), 0), 0), FORA_3, {}),
        (Warmup(FORA(3), 99), list(range(12)), {"warmup": 99}),
    ],
)
def test_a_static_method_computes_more(
    tiny: TinyDiT, method: Any, expected: list[int], meta: dict[str, int]
) -> None:
    plan = method.plan(trajectory(tiny))
    assert full(plan.computed) == expected and plan.meta.items() >= {"method": "fora", **meta}.items()
    assert not isinstance(method, DynamicPolicy | PlansOnBatch) and not method.needs_curves


def test_curves_and_recordings_are_planned_on_as_by_the_method_inside(tiny: TinyDiT) -> None:
    curves = calibrate(tiny.denoiser, tiny.run, samples=2)
    around = LastComputed(SmoothCache(0.3), 2)
    alone, plan = (m.plan(curves.trajectory, curves) for m in (SmoothCache(0.3), around))
    assert around.needs_curves and plan.computed[:-2] == alone.computed[:-2] != ()
    assert all(plan.computed[-2]) and not all(alone.computed[-2])
    on = trajectory(tiny, "span")
    planner = LargestChanges(3, level="span")
    around = Warmup(planner, 3)
    assert isinstance(around, PlansOnBatch) and not hasattr(around, "plan")
    assert around.choose_sites(tiny.denoiser) == find_sites(tiny.denoiser, "span")
    alone, plan = (m.plan_on(on, batch_of(tiny, on)) for m in (planner, around))
    assert set(full(plan.computed)) == {0, 1, 2, *full(alone.computed)}


def test_it_is_of_the_kind_of_the_method_inside() -> None:
    kinds = (DynamicPolicy, Probing, Observing, PlansOnBatch, HasKnob)
    inside = (FORA(3), FirstInput(0.1), LastBlockChecks(0.1), LargestChanges(3))
    for method in inside:
        for around in (Warmup(method), LastComputed(method), Warmup(LastComputed(method))):
            assert [isinstance(around, kind) for kind in kinds] == [
                isinstance(method, kind) for kind in kinds
            ]


@dataclass
class ComputedAt(FirstInput):
    """FirstInput that takes some evaluations for computed ones by itself."""

    evaluations: Sequence[int] = ()
    name = "computed_at"

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Tensor) -> Sequence[bool]:
        forced = evaluation.is_forced or evaluation.e in self.evaluations
        return super().decide_after(probe, replace(evaluation, is_forced=forced), value)


@pytest.mark.parametrize(
    ("around", "evaluations"),
    [
        (lambda method: Warmup(method, 4), [0, 1, 2, 3]),
        (lambda method: LastComputed(method, 2), [10, 11]),
        (lambda method: Warmup(LastComputed(method, 3), 2), [0, 1, 9, 10, 11]),
    ],
)
def test_a_method_that_decides_in_the_run_takes_them_for_its_own_decisions(
    tiny: TinyDiT, around: Callable[[Any], Any], evaluations: list[int]
) -> None:
    runs = []
    for method in (ComputedAt(0.5, "span", evaluations=evaluations), around(FirstInput(0.5, "span"))):
        with cached(tiny.denoiser, method, evals=12) as run:
            runs.append((tiny.run(), run.realised, run.calls, run.probe_calls))
    (x, realised, *rest), (other, computed, *counts) = runs
    assert torch.equal(x, other) and realised == computed and rest == counts
    assert set(evaluations) <= set(full(computed)) != set(range(12))


class Diary(LastBlockChecks):
    """It notes what it observes of the last block, and never asks for anything to be computed."""

    def observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> None:
        if site == evaluation.sites[-1]:
            self.wrong[evaluation.e] = evaluation.is_forced

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return [False, True]


def test_a_method_that_observes_is_told_what_is_forced(tiny: TinyDiT) -> None:
    diary = Diary(0.1)
    with cached(tiny.denoiser, Warmup(LastComputed(diary, 1), 3), evals=12) as run:
        tiny.run()
    assert full(run.realised) == [0, 1, 2, 11]
    assert diary.wrong == {e: e in (0, 1, 2, 11) for e in range(12)}


class Discards(Diary):
    """It would discard whatever it observes."""

    def observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> bool:
        return False


def test_what_is_forced_is_not_discarded(tiny: TinyDiT) -> None:
    with (
        pytest.warns(UserWarning, match="skipped nothing"),
        cached(tiny.denoiser, Warmup(Discards(0.1), 12), evals=12) as run,
    ):
        assert torch.equal(tiny.run(), tiny.run())
    assert full(run.realised) == list(range(12))


def test_a_method_that_decides_in_the_run_needs_the_number_of_evaluations(tiny: TinyDiT) -> None:
    with (
        pytest.raises(ValueError, match=r"must know the number of evaluations: cached\(\.\.\., evals"),
        cached(tiny.denoiser, LastComputed(FirstInput(0.1))),
    ):
        tiny.run()


def test_its_knob_is_that_of_the_method_inside_and_its_share_its_own(tiny: TinyDiT) -> None:
    on = trajectory(tiny)
    method = Warmup(LastComputed(FORA(2), 2), 3)
    assert method.knob == "policy.policy.interval"
    assert settings_of(method, on) == FORA(2).settings(on)

    def share(setting: float) -> float:
        return on.share(with_setting(method, method.knob, setting).plan(on))

    setting, cost = dearest_within(method.knob, settings_of(method, on), share, 0.6)
    assert cost == share(setting) <= 0.6 < share(setting - 1)
    assert on.share(FORA(int(setting)).plan(on)) < cost
    curves = calibrate(tiny.denoiser, tiny.run, samples=2)
    around = Warmup(SmoothCache(0.1))
    assert settings_of(around, curves.trajectory, curves) == SmoothCache(0.1).settings(on, curves)
    assert with_setting(around, around.knob, 0.3) == Warmup(SmoothCache(0.3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Warmup("fora"), "Warmup takes a caching method as its policy, not 'fora'"),
        (lambda: Warmup(FORA), "Warmup takes a caching method as its policy, not <class"),
        (lambda: LastComputed(None), "LastComputed takes a caching method as its policy, not None"),
        (lambda: Warmup(FORA(3), -1), "first must be a whole number from 0, not -1"),
        (lambda: Warmup(FORA(3), True), "first must be a whole number from 0, not True"),
        (lambda: LastComputed(FORA(3), 1.5), "must be a whole number from 0, not 1.5"),
    ],
)
def test_what_cannot_be_composed_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
