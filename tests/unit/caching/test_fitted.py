"""Fitted places its evaluations exactly, and state matching solves for the weights that a float64 oracle finds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import pytest
import torch

from smoothbench.caching import (
    Fitted,
    InputWeights,
    Schedule,
    StateMatching,
    cached,
    transitions,
)
from smoothbench.caching.recorded_run import recorded_run
from smoothbench.caching.solver_steps import recognised
from smoothbench.caching.transitions import cheapest, transition_costs
from tests.oracles import state_matching as oracle
from tests.support.guided_loop import Before, GuidedLoop
from tests.support.tiny_batch import full_evaluations

EVALS = 8


def schedule_of(loop: GuidedLoop, full: Sequence[int]) -> Schedule:
    sites = loop.batch().trajectory.sites
    return Schedule.steps(sites, [e in full for e in range(loop.evals)])


def final(loop: GuidedLoop, schedule: Schedule, weights: Any) -> torch.Tensor:
    with cached(loop.denoiser, schedule, predictor=weights) as run:
        return loop.run(run.step)


@pytest.mark.parametrize("last", [0, 1, 2])
def test_the_search_is_exact(last: int) -> None:
    generator = torch.Generator().manual_seed(3)
    costs = torch.full((EVALS + 1, EVALS, EVALS + 1), torch.inf, dtype=torch.float64)
    for i in range(EVALS):
        for p in range(i) if i else [EVALS]:
            costs[p, i, i + 1 :] = torch.rand(EVALS - i, generator=generator, dtype=torch.float64)
    for full in range(max(2, last + 1), EVALS + 1):
        paths = [(0, *rest) for rest in combinations(range(1, EVALS), full - 1)]
        paths = [path for path in paths if set(range(EVALS - last, EVALS)) <= set(path)]

        def cost(path: Sequence[int]) -> float:
            along = [EVALS, *path, EVALS]
            return sum(float(costs[p, i, j]) for p, i, j in zip(along, along[1:], along[2:], strict=False))

        assert cheapest(costs, full, last) == min(paths, key=cost)


def test_the_last_evaluations_are_computed_where_asked() -> None:
    batch = GuidedLoop(EVALS).batch()
    schedule = Fitted(4, last=2).plan_on(batch.trajectory, batch)
    assert len(full_evaluations(schedule)) == 4 and full_evaluations(schedule)[2:] == [6, 7]
    assert schedule.meta["last"] == 2 and min(Fitted(4, last=2).settings(batch.trajectory)) == 3


@pytest.mark.parametrize("full", [3, 5])
def test_the_plan_is_the_cheapest_by_least_squares_in_float64(full: int) -> None:
    loop = GuidedLoop(EVALS)
    batch = loop.batch()
    schedule = Fitted(full, ridge=1e-12).plan_on(batch.trajectory, batch)
    assert tuple(full_evaluations(schedule)) == oracle.best(loop, full)
    assert batch.spent.runs == 1
    assert batch.trajectory.share(schedule) == Fitted(2).share_at(batch.trajectory, full)


def test_the_plan_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state of a video in float64, at all evaluations, fills the memory."""
    loop = GuidedLoop(EVALS, forwards=2)
    batch = loop.batch()
    run = recorded_run(batch)
    whole = transition_costs(run, recognised(run), 1e-6)
    monkeypatch.setattr(transitions, "PIECE", 9)
    torch.testing.assert_close(transition_costs(run, recognised(run), 1e-6), whole)


@pytest.mark.parametrize("forwards", [1, 2])
def test_the_weights_are_those_of_least_squares_in_float64(forwards: int) -> None:
    loop, full = GuidedLoop(forwards=forwards), (0, 1, 4, 6, 9)
    batch = loop.batch()
    weights = StateMatching(ridge=0).fit(schedule_of(loop, full), batch)
    assert isinstance(weights, InputWeights)
    expected = oracle.weights(GuidedLoop(), full, depth=3)
    for e, row in enumerate(expected):
        found = [*weights.table["denoiser"][e], *(weights.inputs["denoiser"][e] if row else [])]
        assert found == pytest.approx(row, rel=1e-3, abs=1e-3)
    assert batch.spent.rollouts == 1 and batch.spent.evaluations == 2 * 10 * 3
    # what was fitted is what runs
    near = (final(loop, schedule_of(loop, full), weights) - batch.uncached).norm()
    reused = (final(loop, schedule_of(loop, full), "reuse") - batch.uncached).norm()
    assert near < reused


def test_with_all_evaluations_it_is_the_uncached_run() -> None:
    loop = GuidedLoop(EVALS)
    batch = loop.batch()
    schedule = Fitted(EVALS).plan_on(batch.trajectory, batch)
    with pytest.warns(UserWarning, match="skipped nothing"):
        assert torch.equal(final(loop, schedule, StateMatching().fit(schedule, batch)), batch.uncached)


def test_it_comes_near_to_a_fine_run() -> None:
    """Four times as many smaller steps: their run is the target, and passes through the same timesteps."""
    loop = GuidedLoop(EVALS, shrink=1.0)

    def finer(substeps: int) -> Any:
        def sample(announcer: Any) -> torch.Tensor:
            x = loop.noise()
            for e in range(loop.evals * substeps):
                before = _at(announcer, e, substeps)
                x = x - 0.12 / substeps * loop.output(x, e // substeps, before)
            return x

        return sample

    def _at(announcer: Any, e: int, substeps: int) -> Any:
        return lambda _, t, forward_index: announcer.step(e, t - 0.1 * (e % substeps), forward_index)

    batch = loop.batch(finer=finer)
    schedule = Fitted(4, target="fine").plan_on(batch.trajectory, batch)
    fine, distances = batch.fine([], 4)[1], {}
    for target in ("uncached", "planned"):
        weights = StateMatching(target=target).fit(schedule, batch)
        distances[target] = float((final(loop, schedule, weights) - fine).norm())
    assert distances["planned"] < 0.8 * distances["uncached"]
    assert schedule.meta["target"] == "fine" and schedule.meta["substeps"] == 4


def test_weights_go_through_json() -> None:
    loop = GuidedLoop(EVALS)
    weights = StateMatching().fit(schedule_of(loop, (0, 3, 6)), loop.batch())
    assert isinstance(weights, InputWeights)
    again = InputWeights.from_json(json.loads(json.dumps(weights.to_json())))
    assert (
        again == replace(weights, timesteps=list(weights.timesteps or [])) and again.digest == weights.digest
    )
    assert replace(weights, steps=()).digest != weights.digest
    with pytest.raises(ValueError, match="a step of its weights must have e, states, outputs, guidance"):
        InputWeights.from_json({**weights.to_json(), "steps": [{"e": 1}]})
    data = json.loads(json.dumps(weights.to_json()))
    first, *_ = data.pop("steps")
    of_before = {**data, "step": first}  # as files of before have it
    assert InputWeights.from_json(of_before).digest == weights.digest
    assert InputWeights.from_json(of_before).steps == weights.steps[:1]
    with pytest.raises(ValueError, match="weights of inputs are for the sites and evaluations"):
        InputWeights(weights.table, inputs={})


@pytest.mark.parametrize("other", [{"guidance": 2.2}, {"shrink": 0.99}])
def test_another_guidance_or_solver_is_noticed(other: dict[str, float]) -> None:
    loop = GuidedLoop(EVALS)
    schedule = schedule_of(loop, (0, 3, 6))
    weights = StateMatching().fit(schedule, loop.batch())
    with pytest.raises(ValueError, match=r"at evaluation 1 the state lies .* \(weights 2, -1 of the rows\)"):
        final(GuidedLoop(EVALS, **other), schedule, weights)  # type: ignore[arg-type]
    assert isinstance(weights, InputWeights)
    final(GuidedLoop(EVALS, **other), schedule, replace(weights, steps=()))  # type: ignore[arg-type]


@dataclass
class LaterStep(GuidedLoop):
    """A loop whose steps are others from the second on, as a multistep solver's are that begins with a single one."""

    @torch.no_grad()
    def run(self, before: Before = lambda *_: None) -> torch.Tensor:
        x, older = self.noise(), torch.zeros(())
        for e in range(self.evals):
            output = self.output(x, e, before)
            x = self.step(x, output if e == 0 else 1.05 * output - 0.05 * older)
            older = output
        return x


@pytest.mark.parametrize("forwards", [1, 2])
def test_a_solver_that_differs_only_later_is_noticed(forwards: int) -> None:
    loop = GuidedLoop(EVALS, forwards=forwards)
    schedule = schedule_of(loop, (0, 2, 3, 6))
    weights = StateMatching().fit(schedule, loop.batch())
    with pytest.raises(ValueError, match=r"at evaluation 4 the state lies"):
        final(LaterStep(EVALS, forwards=forwards), schedule, weights)


@pytest.mark.parametrize("loop", [GuidedLoop(EVALS), LaterStep(EVALS), GuidedLoop(EVALS, forwards=2)])
def test_states_follow_from_what_is_kept_wherever_that_suffices(loop: GuidedLoop) -> None:
    schedule = schedule_of(loop, (0, 2, 3, 6))
    weights = StateMatching().fit(schedule, loop.batch())
    assert isinstance(weights, InputWeights)
    # after 3 and 6 a multistep solver needs 2 and 5: the former is kept, the latter was predicted
    multistep = isinstance(loop, LaterStep)
    assert [step.e for step in weights.steps] == ([1, 4] if multistep else [1, 4, 7])
    final(loop, schedule, weights)
    for i, step in enumerate(weights.steps):
        wrong = step._replace(states=tuple(1.01 * w for w in step.states))
        other = replace(weights, steps=(*weights.steps[:i], wrong))
        with pytest.raises(ValueError, match=f"at evaluation {step.e} the state lies"):
            final(loop, schedule, other)


@pytest.mark.parametrize("samples", [2, 3])
def test_guidance_in_two_forwards_is_checked_and_not_mistaken_for_another(samples: int) -> None:
    loop = GuidedLoop(EVALS, forwards=2, samples=samples)
    schedule, batch = schedule_of(loop, (0, 3, 6)), loop.batch()
    weights = StateMatching().fit(schedule, batch)
    assert isinstance(weights, InputWeights) and {step.forwards for step in weights.steps} == {2}
    with pytest.raises(ValueError, match=r"at evaluation 1 the state lies .* \(weights 2, -1 of the rows\)"):
        final(GuidedLoop(EVALS, forwards=2, guidance=2.2, samples=samples), schedule, weights)
    assert InputWeights.from_json(json.loads(json.dumps(weights.to_json()))).steps == weights.steps
    as_one = GuidedLoop(EVALS, samples=samples)
    of_rows = StateMatching().fit(schedule, as_one.batch())
    torch.testing.assert_close(final(loop, schedule, weights), final(as_one, schedule, of_rows))
