"""The explicit steps of every solver: the same bits as one plain loop, states that stay, and no memory beside them."""

from itertools import islice, pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.config.instantiate import build_solver
from smoothbench.errors import UsageError
from smoothbench.protocols import Diffuses
from smoothbench.sampling.loop import SeededNoise, final_sample, solver_states
from smoothbench.solvers.ddim import DDIM
from smoothbench.solvers.deis import DEIS, DEISV, DEISFlow
from smoothbench.solvers.dpm_singlestep import DPMSolverSinglestep
from smoothbench.solvers.dpmpp import DPMSolverPlusPlus2M
from smoothbench.solvers.dpmpp_3m_sde import DPMSolverPlusPlus3MSDE
from smoothbench.solvers.euler import Euler
from smoothbench.solvers.rflow import RectifiedFlow
from smoothbench.solvers.unipc import UniPC, UniPCFlow, UniPCV
from tests.oracles import solver_loops
from tests.oracles.solver_loops import Loop, toy_prediction

LOOPS: list[tuple[Any, Loop]] = [
    (DDIM(2), solver_loops.ddim),
    (DDIM(9), solver_loops.ddim),
    (DDIM(9, numerics="diffusers"), solver_loops.ddim),
    (Euler(9), solver_loops.euler),
    (RectifiedFlow(9), solver_loops.rectified_flow),
    (RectifiedFlow(9, 4.8431), solver_loops.rectified_flow),
    (DPMSolverPlusPlus2M(2), solver_loops.multistep),
    (DPMSolverPlusPlus2M(9), solver_loops.multistep),
    (DPMSolverPlusPlus2M(9, grid="karras"), solver_loops.multistep),
    *((UniPC(9, order=order), solver_loops.predictor_corrector) for order in (1, 2, 3)),
    (UniPC(2), solver_loops.predictor_corrector),
    (UniPCFlow(9, order=3), solver_loops.predictor_corrector),
    (UniPCV(9), solver_loops.predictor_corrector),
    *((DEIS(9, order=order), solver_loops.adams_bashforth) for order in (1, 2, 3)),
    (DEISFlow(9, 2.0), solver_loops.adams_bashforth),
    (DEISV(9, order=3), solver_loops.adams_bashforth),
    (DPMSolverSinglestep(2), solver_loops.singlestep),
    (DPMSolverSinglestep(10), solver_loops.singlestep),
    *((DPMSolverPlusPlus3MSDE(steps), solver_loops.multistep_sde) for steps in (2, 3, 4, 9)),
    (DPMSolverPlusPlus3MSDE(9, rho=3.0, eta=0.4, sigma_data=0.5), solver_loops.multistep_sde),
    (DPMSolverPlusPlus3MSDE(9, eta=0.0), solver_loops.multistep_sde),
]
SOLVERS = [solver for solver, _ in LOOPS]
every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=repr)


def seeded_noise() -> SeededNoise:
    return SeededNoise([3, 1, 4], (2, 5), torch.device("cpu"))


def tensors(state: Any) -> list[Tensor]:
    """All tensors of a state, whatever the solver keeps in it."""
    if isinstance(state, Tensor):
        return [state]
    return [tensor for part in state or () for tensor in tensors(part)]


def same(states: Any, others: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(states), tensors(others), strict=True))


@pytest.mark.parametrize(("solver", "loop"), LOOPS, ids=lambda part: repr(part) if part in SOLVERS else "")
def test_the_steps_give_the_bits_of_a_plain_loop(solver: Any, loop: Loop) -> None:
    """Also the noise is drawn as often: what is drawn next is the same."""
    noise, plain = seeded_noise(), seeded_noise()
    x, calls = noise(), list[tuple[int, float]]()

    def predict(e: int, z: Tensor, t: float) -> Tensor:
        calls.append((e, t))
        return toy_prediction(e, z, t)

    reached = final_sample(solver, solver_states(solver, x, predict, noise))
    assert torch.equal(reached, loop(solver, plain(), toy_prediction, plain))
    assert calls == list(enumerate(solver.coordinates)) and torch.equal(noise(), plain())
    assert torch.equal(x, seeded_noise()()), "the noise itself is never changed"


@every_solver
def test_a_state_is_never_changed_in_place_and_is_all_that_a_step_needs(solver: Any) -> None:
    noise = seeded_noise()
    states = [state for _, state in solver_states(solver, noise(), toy_prediction, noise)]
    copies = [[tensor.clone() for tensor in tensors(state)] for state in states]
    assert len(states) == solver.steps + 1
    replay = seeded_noise()
    assert same(solver.begin(replay()), copies[0])
    for e, (before, after) in enumerate(pairwise(states)):
        output = toy_prediction(e, solver.model_input(e, before), solver.coordinates[e])
        assert same(solver.step(e, before, output, replay), after), f"evaluation {e} taken again"
    assert all(same(state, copy) for state, copy in zip(states, copies, strict=True))


@every_solver
def test_two_runs_of_one_solver_do_not_see_each_other(solver: Any) -> None:
    """As batches, fine runs and training may share a solver: it keeps nothing of a run."""
    noises = seeded_noise(), seeded_noise()
    first, second = noises[0](), 2 * noises[1]()
    runs = [solver_states(solver, x, toy_prediction, n) for x, n in zip((first, second), noises, strict=True)]
    *_, ((_, together), (_, other)) = zip(*runs, strict=True)
    alone = seeded_noise()
    assert torch.equal(
        solver.sample(together), final_sample(solver, solver_states(solver, alone(), toy_prediction, alone))
    )
    assert not torch.equal(solver.sample(together), solver.sample(other))


@every_solver
def test_a_loop_that_is_left_evaluates_nothing_more(solver: Any) -> None:
    noise, calls = seeded_noise(), list[int]()

    def predict(e: int, x: Tensor, t: float) -> Tensor:
        calls.append(e)
        return toy_prediction(e, x, t)

    evaluations = [e for e, _ in islice(solver_states(solver, noise(), predict, noise), 2)]
    assert evaluations == [0, 1] and calls == [0]


def test_ddim_starts_anywhere_from_a_clean_sample() -> None:
    """With the very noise that a sample was diffused by as prediction, a step is the forward process, backwards."""
    solver = DDIM(7)
    clean, noise = torch.randn(2, 3, 5, dtype=torch.float64)
    assert isinstance(solver, Diffuses)
    assert not any(isinstance(other, Diffuses) for other in SOLVERS if not isinstance(other, DDIM))
    for e in range(6):
        after = solver.step(e, solver.diffuse(clean, e, noise), noise, seeded_noise())
        torch.testing.assert_close(after, solver.diffuse(clean, e + 1, noise))
    last = solver.step(6, solver.diffuse(clean, 6, noise), noise, seeded_noise())
    torch.testing.assert_close(solver.sample(last), clean)


def test_what_has_no_steps_is_no_solver() -> None:
    with pytest.raises(UsageError, match="solver: a FORA cannot stand here, it has no prediction"):
        build_solver({"_target_": "baselines.fora.FORA", "interval": 2})
