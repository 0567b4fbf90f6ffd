"""Fitted's weights on a pretended CUDA device: their checks wait for it once, when the run is over."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from smoothbench.caching import Fitted, InputWeights, Schedule, StateMatching, cached
from smoothbench.caching.predictor import predictor_from
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.protocols import Model, Solver
from smoothbench.sampling.loop import latents, silent
from smoothbench.sampling.on_batch import calibration_batch
from tests.support.every_model import nano
from tests.support.pretended_cuda import CUDA, Ledger, pretended_cuda, synchronisations

CALIBRATION = {"seed": 999, "num_samples": 2, "draw": 0, "unconditional": False}
SEEDS = range(2)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with pretended_cuda() as ledger:
        yield ledger


def fitted(model: Model, solver: Solver) -> tuple[Schedule, InputWeights]:
    """Every other evaluation, and weights for the others, which check the states before these."""
    trajectory = ChosenSites(model).trajectory(Fitted(2), solver.coordinates)
    batch = calibration_batch(model, solver, CALIBRATION, trajectory, predictor_from("reuse"), 2)
    rows = [e % 2 == 0 for e in range(len(solver.coordinates))]
    schedule = Schedule.steps(trajectory.sites, rows, {"method": "x"})
    weights = StateMatching().fit(schedule, batch)
    assert isinstance(weights, InputWeights) and weights.steps
    return schedule, weights


def test_checks_are_read_when_the_run_is_over(ledger: Ledger) -> None:
    schedule, weights = fitted(*nano("dit_nano")(torch.device("cpu")))
    model, solver = nano("dit_nano")(CUDA)
    with cached(model.denoiser, schedule, predictor=weights) as run:
        latents(model, solver, SEEDS, run.step)  # what a first run alone makes is there from now on
        with ledger.since() as events:
            states = latents(model, solver, SEEDS, run.step)
    with ledger.since() as events_uncached:
        uncached = latents(model, solver, SEEDS, silent)
    assert states.shape == uncached.shape and not torch.equal(states.cpu(), uncached.cpu())
    waits = synchronisations(events)
    checks = [line for line in waits if "checked_step.py" in line]  # of the run before, as this one begins
    assert len(checks) == 2 * len(weights.steps)
    assert [line for line in waits if line not in checks] == synchronisations(events_uncached)


def test_another_run_is_refused_when_it_is_over(ledger: Ledger) -> None:
    schedule, weights = fitted(*nano("dit_nano")(torch.device("cpu")))
    model, solver = nano("dit_nano")(CUDA)
    step = weights.steps[0]
    other = replace(weights, steps=(step._replace(states=tuple(1.01 * w for w in step.states)),))
    with (
        pytest.raises(ValueError, match=f"at evaluation {step.e} the state lies"),
        cached(model.denoiser, schedule, predictor=other) as run,
    ):
        samples = latents(model, solver, SEEDS, run.step)
    assert samples.device == CUDA  # it went to its end
