"""The prompts of a calibration are encoded before it asks how much memory is free."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smoothbench.caching import Trajectory
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.caching.predictor import predictor_from
from smoothbench.protocols import Model
from smoothbench.sampling import calibrate_point, on_batch
from tests.support import opensora

CALIBRATION = {"seed": 999, "num_samples": 3, "draw": 0, "unconditional": False, "k_max": 1}


def curves(model: Model) -> None:
    calibrate_point.measure_curves(model, measured_sites(*model.skeleton())[0], opensora.SOLVER, CALIBRATION)


def recording(model: Model) -> None:
    trajectory = Trajectory.over(measured_sites(*model.skeleton()), opensora.SOLVER.coordinates)
    predictor = predictor_from("reuse")
    on_batch.calibration_batch(model, opensora.SOLVER, CALIBRATION, trajectory, predictor, 3)


@pytest.mark.parametrize(("module", "run"), [(calibrate_point, curves), (on_batch, recording)])
def test_no_text_encoder_comes_after_free_memory_was_read(
    module: Any, run: Callable[[Model], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opensora.published(tmp_path)
    model, encoded, free_bytes = opensora.opensora(tmp_path), list[int](), module.free_bytes

    def noting(device: Any) -> int | None:
        encoded.append(len(model.text._encoded))
        return free_bytes(device)

    monkeypatch.setattr(module, "free_bytes", noting)
    run(model)
    assert set(encoded) == {len(model.text._encoded)} and encoded[0] > 0
