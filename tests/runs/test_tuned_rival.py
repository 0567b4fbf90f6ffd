"""A tuned schedule is held against no cache with fewer steps, on the same seeds and at no more MACs."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from metrics.inference import Estimate
from smoothbench.config.expand import settings
from smoothbench.running.experiment import Experiment
from smoothbench.running.tune import tune
from smoothbench.running.tuned_rival import Rival
from smoothbench.storage.results_folder import Store
from tests.support.compose import composed

STEPS = 12
SMALL = (
    "metrics=[psnr]",
    "num_samples=4",
    "calibration.num_samples=2",
    "batch_size=4",
    "device=cpu",
    "latency.rounds=0",
)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """The results folder of a tuned schedule, what its file says was measured, and what was printed."""
    folder, text = tmp_path_factory.mktemp("tuned"), StringIO()
    out = folder / "schedule.json"
    with redirect_stdout(text):
        asked = ("stage=tune", "cache=fora", "at=0.6", f"solver.steps={STEPS}", f"results_dir={folder}")
        tune(settings(composed(*SMALL, *asked, f"out={out}")))
    return folder, json.loads(out.read_text())["_meta"]["tuned"], text.getvalue()


def test_fewer_steps_at_the_same_cost_are_sampled_beside_it(
    tuned: tuple[Path, dict[str, Any], str], tmp_path: Path
) -> None:
    _, measured, text = tuned
    fewer, steps = measured["fewer_steps"], int(STEPS * measured["share"] + 1e-9)
    assert fewer["label"] == f"no cache, {steps} steps" and fewer["share"] <= measured["share"]
    nearer = measured["loss"]["psnr"]["value"] - fewer["psnr"]
    assert (
        fewer["gain"]["value"] == pytest.approx(nearer) and f"fewer steps no cache, {steps} steps, " in text
    )
    by_hand = (f"solver.steps={steps}", f"+reference.solver.steps={STEPS}", f"results_dir={tmp_path}")
    running = Experiment(settings(composed(*SMALL, *by_hand)))
    running.run()
    point = running.bench.points[-1]
    record = running.store.record(point.spec.name, point.point_id)
    assert record is not None and record.scores["psnr@4"].value == pytest.approx(fewer["psnr"])


@pytest.mark.parametrize(
    ("value", "se", "says"),
    [
        (2.0, 0.1, "the schedule is nearer, by +2 ["),
        (2.0, 10.0, "the schedule is not shown to be nearer (+2 ["),
        (-2.0, 0.1, "they are NEARER than the schedule, by 2: take them (-2 ["),
    ],
)
def test_what_is_said_follows_the_interval(
    tuned: tuple[Path, dict[str, Any], str], value: float, se: float, says: str
) -> None:
    folder, measured, _ = tuned
    label = measured["fewer_steps"]["label"]
    (record,) = (one for one in Store(folder / "runs/adhoc").records() if one.label == label)
    text = str(Rival(record, "psnr", 30.0, Estimate(value, se, 100)))
    assert text.startswith(f"{label}, {record.cost.share:.1%}: psnr 30; {says}")
