"""Results of other code are not taken for those of the code as it is now."""

from pathlib import Path
from typing import Any

import pytest

from smoothbench.config.expand import settings
from smoothbench.planning.point import Point
from smoothbench.report.data.frame import load
from smoothbench.running.calibrate_or_train import save_plan
from tests.support.compose import FEW, composed, experiment
from tests.support.runs import run
from tests.support.user_plugins import (
    DYNAMIC,
    ENCODER,
    LOSS,
    METRIC,
    PREDICTOR,
    SOLVER,
    TRAINING,
    cell,
    write,
)

MINE = "+metrics.mine={metric: {_target_: users.mine.Mine}}"
PREDICTED = "points.fora.cache.predictor={_target_: users.mine.Last}"


def scored(folder: Path, *overrides: str, name: str = "mine@6") -> Any:
    entry = run(folder, "only=[none]", "metrics=[psnr]", *overrides)["reference"]["scores"][name]
    return entry["value"], entry["config_hash"]


def planned(folder: Path, *overrides: str) -> Point:
    return experiment(folder, "only=[fora]", "stage=cost", *overrides).bench.points[1]


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [("mine", "return loss(samples)", "return 2 * loss(samples)"), ("loss", "mean(1)", "amax(1)")],
)
def test_a_metric_whose_code_changed_is_scored_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, old: str, new: str
) -> None:
    write(tmp_path, monkeypatch, mine=METRIC, loss=LOSS)
    before = scored(tmp_path, MINE)
    source = {"mine": METRIC, "loss": LOSS}[module]
    write(tmp_path, monkeypatch, **{module: source.replace(old, new)})
    value, config_hash = scored(tmp_path, MINE)
    assert value > 1.5 * before[0] and config_hash != before[1]


def test_another_docstring_scores_nothing_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, monkeypatch, mine=METRIC, loss=LOSS)
    before = scored(tmp_path, MINE)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    write(tmp_path, monkeypatch, mine=METRIC.replace("A metric.", "Mine.") + "\n# the end\n")
    assert scored(tmp_path, MINE) == before
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == written


def test_an_encoder_whose_code_changed_sees_the_samples_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = METRIC.replace('("samples",)', '("features",)')
    sees = "+metrics.mine={encoder: {_target_: users.encoder.Halves}, metric: {_target_: users.mine.Mine}}"
    write(tmp_path, monkeypatch, mine=metric, loss=LOSS, encoder=ENCODER)
    before = scored(tmp_path, sees)
    write(tmp_path, monkeypatch, encoder=ENCODER.replace("/ 2", "+ 100"))
    value, config_hash = scored(tmp_path, sees)
    assert value >= 100 > before[0] and config_hash != before[1]


def test_a_metric_of_a_notebook_is_scored_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = LOSS + METRIC.replace("from users.loss import loss", "")
    mine = MINE.replace("users.mine", "cells")
    cell(monkeypatch, source)
    before = scored(tmp_path, mine)
    assert scored(tmp_path, mine) == before
    cell(monkeypatch, source.replace("mean(1)", "amax(1)"))
    assert scored(tmp_path, mine)[0] > 1.5 * before[0]


def test_a_predictor_whose_code_changed_is_sampled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, monkeypatch, mine=PREDICTOR)
    before = run(tmp_path, "only=[fora]", FEW, PREDICTED)["fora-interval=2"]
    assert run(tmp_path, "only=[fora]", FEW, PREDICTED)["fora-interval=2"] == before
    write(tmp_path, monkeypatch, mine=PREDICTOR.replace("* 1.0", "* 0.9"))
    after = run(tmp_path, "only=[fora]", FEW, PREDICTED)
    found = [planned(tmp_path, PREDICTED)]
    assert found[0].sample_id != before["sample_id"] and found[0].cell_id != before["cell_id"]
    assert after["reference"]["sample_id"] == before["reference_id"]  # it computes everything
    assert (tmp_path / "runs/smoke/samples" / found[0].sample_id).is_dir()
    labels = list(load(tmp_path / "runs/smoke")["label"])
    assert len(set(labels)) == 3 and sum("code of the predictor" in label for label in labels) == 2


def test_a_run_time_policy_whose_code_changed_is_sampled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/mine.yaml").write_text(
        "policy: {_target_: users.mine.EverySecond}\npredictor: reuse\nfamily: dynamic\nlabel: dynamic\n"
    )
    asked = (f"hydra.searchpath=[file://{tmp_path}]", "+cache@points.new.cache=mine", "only=[new]")
    found = []
    for source in (DYNAMIC, DYNAMIC, DYNAMIC.replace("% 2", "% 3")):
        write(tmp_path, monkeypatch, mine=source)
        found.append(experiment(tmp_path, *asked, "stage=cost").bench.points[1])
    assert found[0].sample_id == found[1].sample_id != found[2].sample_id
    assert found[0].cell_id == found[1].cell_id != found[2].cell_id
    record = run(tmp_path, *asked, "metrics=[psnr]")["new"]
    assert record["batch_size"] == 4 and record["code"]["policy"]["source"]


def test_a_solver_answers_for_its_code_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, found = "solver._target_=users.mine.Own", []
    versioned = SOLVER.replace("class Own(DDIM):", "class Own(DDIM):\n    version = 1")
    second = versioned.replace("version = 1", "version = 2")
    for source in (SOLVER, versioned, versioned.replace("* 1.0", "+ 0.0"), second):
        write(tmp_path, monkeypatch, mine=source)
        found.append(planned(tmp_path, own).sample_id)
    assert found[1] == found[2] and len(set(found)) == 3
    write(tmp_path, monkeypatch, mine=SOLVER.replace("* 1.0", "+ 0.0"))
    assert planned(tmp_path, own).sample_id not in found  # without a version the source answers


def test_another_predictor_makes_other_samples_and_its_version_is_known(tmp_path: Path) -> None:
    points = experiment(tmp_path, "only=[fora,taylor]", "stage=cost").bench.points
    assert points[2].sample_id != points[1].sample_id
    assert points[1].code["policy"]["version"] == 1


def test_a_training_goes_on_from_nothing_that_other_code_has_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ("cache=l2c", "solver.steps=4", "device=cpu", f"results_dir={tmp_path}", "stage=train")
    asked = (*small, f"out={tmp_path}/checkpoint.safetensors", "cache.training._target_=users.mine.Trainer")
    asked += tuple(f"~cache.training.{key}" for key in ("penalty", "interval", "steps", "lr", "seed"))
    asked += ("cache.label=learned", "cache.policy.router=none", "training.trajectories=2")
    found = []
    for source in (TRAINING, TRAINING, TRAINING + "\n    steps = 3\n"):
        write(tmp_path, monkeypatch, mine=source)
        found.append(save_plan(settings(composed(*asked))).read_text())
    assert found[0] == found[1] != found[2]
