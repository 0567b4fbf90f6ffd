"""Sums of evaluations that reuse every branch are those of the kept outputs, bit for bit, and take less memory."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from smoothbench.caching import Run, Schedule, cached, find_sites
from smoothbench.caching.fast import sums
from smoothbench.caching.weighted_sum import WeightedSum
from tests.support.fast_models import EVALS, FastModel, fast_model

STREAM = 4 * 16 * 16 * 4  # bytes: rows, tokens, width
INPUTS = 4 * 8 * 8 * 4 + 2 * 4 * 8  # of a forward: pictures, timesteps and classes
ROWS = (True, False, False, True, True, False, False)
Change = Callable[[int], None]


@pytest.fixture
def dit() -> FastModel:
    return fast_model("dit")


def sampled(
    model: FastModel,
    predictor: object = "reuse",
    rows: Sequence[bool] = ROWS,
    change: Change = lambda e: None,
    forwards: int = 1,
) -> tuple[Tensor, Run]:
    schedule = Schedule.steps(find_sites(model.denoiser), rows)
    with cached(model.denoiser, schedule, predictor=predictor, coordinates=model.timesteps) as run:

        def step(e: int, t: float, index: int) -> None:
            run.step(e, t, index)
            change(e)

        sample = model.run(step, forwards)
        assert run.is_fast
    return sample, run


def weights(model: FastModel) -> WeightedSum:
    """Weights of two outputs, others for every site."""
    names = [site.name for site in find_sites(model.denoiser)]
    return WeightedSum(
        {name: [[0.8 + 0.1 * n, 0.05 * e] for e in range(EVALS)] for n, name in enumerate(names)}
    )


@pytest.mark.parametrize("predictor", ["reuse", "taylor1", "taylor3", "weights"])
@pytest.mark.parametrize("forwards", [1, 2])
def test_they_are_the_sums_of_kept_outputs(
    dit: FastModel, predictor: str, forwards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = weights(dit) if predictor == "weights" else predictor
    ahead, run = sampled(dit, by, forwards=forwards)
    monkeypatch.setattr(sums, "AT_MOST", 0)
    kept, other = sampled(dit, by, forwards=forwards)
    assert torch.equal(ahead, kept)
    assert run.counts == other.counts and run.realised == other.realised


def test_no_output_is_kept(dit: FastModel) -> None:
    """But the stream, a sum for each evaluation of the gap, and what gives the outputs again."""
    assert sampled(dit)[1].cache_bytes == 3 * STREAM + INPUTS
    assert sampled(dit, "taylor1")[1].cache_bytes == 3 * STREAM + 2 * INPUTS
    # its last branch is always computed
    mixed = [[True] * 6, *[[e % 2 == 0] * 5 + [True] for e in range(1, EVALS)]]
    with cached(dit.denoiser, Schedule.of(find_sites(dit.denoiser), mixed), coordinates=dit.timesteps) as run:
        dit.run(run.step)
    assert run.cache_bytes == 5 * STREAM


@pytest.mark.parametrize("predictor", ["reuse", "taylor1"])
@pytest.mark.parametrize("at", [2, 4])
@pytest.mark.parametrize("what", ["timestep", "classes"])
def test_a_run_that_goes_on_otherwise_than_planned_computes_the_outputs_again(
    predictor: str, at: int, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed() -> tuple[Tensor, Run]:
        model = fast_model.__wrapped__("dit")

        def change(e: int) -> None:
            if e == at and what == "classes":
                model.constant["class_labels"].copy_(torch.tensor([5, 5, 2, 10]))

        planned = model.timesteps
        if what == "timestep":
            shifted = [t - 1 if e == at else t for e, t in enumerate(planned)]
            schedule = Schedule.steps(find_sites(model.denoiser), ROWS)
            with cached(model.denoiser, schedule, predictor=predictor, coordinates=planned) as run:
                model.timesteps = tuple(shifted)
                return model.run(run.step), run
        return sampled(model, predictor, change=change)

    ahead, run = changed()
    monkeypatch.setattr(sums, "AT_MOST", 0)
    kept, other = changed()
    assert torch.equal(ahead, kept)
    again = int(at == 2 or predictor == "taylor1")  # at 4 no later evaluation reuses what was computed before
    assert run.counts == [count + again for count in other.counts]
