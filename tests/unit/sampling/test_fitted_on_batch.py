"""Fitted on the embedded models: with a solver that draws noise, towards a fine run, and read again from its file."""

from typing import Any

import pytest
import torch

from smoothbench.caching import CalibrationBatch, Fitted, InputWeights, Schedule, StateMatching
from smoothbench.caching.predictor import predictor_from
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model, build_solver
from smoothbench.planning.calibrated import BatchPlan, BatchPlanning
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.sampling.on_batch import calibration_batch
from smoothbench.sampling.plan_on_batch import _stored, _to_bytes
from tests.support.compose import composed

CALIBRATION = {"seed": 999, "num_samples": 4, "draw": 0, "unconditional": False}


def batch_of(name: str, steps: int, size: int = 4, num: int = 4) -> CalibrationBatch:
    spec = settings(composed(f"model={name}", f"solver.steps={steps}", "device=cpu"))
    model, solver = build_model(spec.model, torch.device("cpu")), build_solver(spec.specs[0].solver)
    trajectory = ChosenSites(model).trajectory(Fitted(2), solver.coordinates)
    return calibration_batch(
        model, solver, {**CALIBRATION, "num_samples": num}, trajectory, predictor_from("reuse"), size
    )


def error(batch: CalibrationBatch, schedule: Schedule, predictor: Any) -> float:
    return float((batch.rollout(schedule, predictor) - batch.uncached).norm())


def test_a_solver_that_draws_noise() -> None:
    batch = batch_of("stable_audio_nano", 8, num=2)
    schedule = Fitted(4).plan_on(batch.trajectory, batch)
    with pytest.warns(UserWarning, match="of a state unexplained: the solver draws fresh noise"):
        weights = StateMatching().fit(schedule, batch)
    assert error(batch, schedule, weights) < 0.8 * error(batch, schedule, "reuse")
    with pytest.raises(ValueError, match="target=fine needs a solver without fresh noise"):
        Fitted(4, target="fine").plan_on(batch.trajectory, batch)


def test_a_plan_with_its_weights_is_read_again(tmp_path: Any) -> None:
    batch = batch_of("dit_nano", 8)
    method: Any = Fitted(4, target="fine", substeps=3)
    schedule = method.plan_on(batch.trajectory, batch)
    weights = StateMatching().fit(schedule, batch)
    # the noise, the uncached run, the fine one and the cached one
    assert batch.spent.runs == 3 and batch.spent.evaluations == 4 * (8 + 8 * 3 + 8)
    (tmp_path / "plan.json").write_bytes(_to_bytes(BatchPlan(schedule, weights)))
    planning = BatchPlanning(Any, Any, batch.trajectory, method, Any, {})  # type: ignore[arg-type]
    again = _stored(tmp_path / "plan.json", planning)
    assert again is not None and again.schedule is not None
    assert again.schedule.computed == schedule.computed and isinstance(again.weights, InputWeights)
    assert again.weights.digest == weights.digest and again.weights.steps == weights.steps != ()


def test_a_batch_in_parts_is_fitted_to_all_of_them() -> None:
    of_parts, whole, first_part = (
        batch_of("dit_nano", 6, size, num) for size, num in ((2, 4), (4, 4), (2, 2))
    )
    schedule = Schedule.steps(whole.trajectory.sites, [True, False, True, False, False, True])
    fits: Any = [StateMatching().fit(schedule, batch) for batch in (of_parts, whole, first_part)]
    found, expected, of_first = (of.table["denoiser"][1] for of in fits)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)  # nothing was skipped before
    assert found != pytest.approx(of_first, rel=1e-3, abs=1e-4)
    errors = [error(whole, schedule, weights) for weights in fits[:2]]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)
