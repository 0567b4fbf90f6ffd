"""The paper's image experiment, whole, on a tiny pipeline saved as the published one is."""

from pathlib import Path

import pytest
import torch

from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from smoothbench.running.experiment import Experiment
from smoothbench.storage.record import Record
from smoothbench.storage.record_parts import Status
from tests.support.compose import composed
from tests.support.tiny_pipelines import save_tiny_dit

POINTS = ("s50_alpha18", "s50_fora3", "s30_none", "s70_alpha12")
STAND_INS = ("s50_alpha18", "s70_alpha12")  # whose calibration a published mask, or count, stands in for
SMALL = (
    "num_samples=2",
    "batch_size=2",
    "metrics=[psnr,ssim]",
    "device=cpu",
    "calibration.num_samples=2",
)
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def only(points: tuple[str, ...] = POINTS) -> str:
    return f"only=[{','.join(points)}]"


def paper(folder: Path, *overrides: str) -> Experiment:
    return Experiment(settings(composed("+exp=paper/dit_ddim", f"results_dir={folder}", *SMALL, *overrides)))


def records(experiment: Experiment) -> dict[str, Record]:
    return {record.name: record for record in experiment.store.records()}


@pytest.mark.parametrize(
    ("safetensors", "legacy", "points"),
    [(True, False, POINTS), (False, True, STAND_INS[:1])],
    ids=["safetensors", "bin, legacy class"],
)
def test_the_published_layout_runs_through(
    safetensors: bool, legacy: bool, points: tuple[str, ...], tmp_path: Path
) -> None:
    save_tiny_dit(tmp_path / "tiny", safetensors, legacy)
    experiment = paper(tmp_path, f"model.path={tmp_path / 'tiny'}", only(points))
    experiment.run()
    by_name = records(experiment)
    assert by_name.keys() == {"reference", *points}
    for record in by_name.values():
        assert record.status == Status("done", "done"), record.reason
        assert record.reported.values["fid"].value > 0
    calibrated = {name for name, record in by_name.items() if record.planned == "calibrated"}
    assert calibrated == {*STAND_INS} & {*points}, "with weights nothing stands in for a calibration"
    assert experiment.bench.model.identity["model_numerics"] == "reference"
    assert by_name["reference"].config["solver"]["numerics"] == "reference"


def test_costs_first_and_the_samples_later_in_the_same_folder(tmp_path: Path) -> None:
    """What stood in for a calibration while there were no weights is not taken for it later."""
    paper(tmp_path, "stage=cost", only(STAND_INS)).run()
    save_tiny_dit(tmp_path / "tiny")
    experiment = paper(tmp_path, f"model.path={tmp_path / 'tiny'}", only(STAND_INS))
    experiment.run()
    done = [record for record in experiment.store.records() if record.status.quality == "done"]
    assert {record.name for record in done} == {"reference", *STAND_INS}
    assert {record.planned for record in done} == {None, "calibrated"}


def test_diffusers_numerics_switch_model_and_solver_together(tmp_path: Path) -> None:
    save_tiny_dit(tmp_path / "tiny")
    path = f"model.path={tmp_path / 'tiny'}"
    reference, diffusers = (
        paper(tmp_path, path, only(), *more) for more in ([], ["model.numerics=diffusers"])
    )
    grids = [each.bench.points[0].solver.coordinates for each in (reference, diffusers)]
    assert grids[0][0] == 999 and grids[1][0] == 980
    assert reference.bench.points[0].sample_id != diffusers.bench.points[0].sample_id


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.weights=random", "random weights are for stage=cost alone"),
        ("model.path=nobody/nothing", "nobody/nothing"),
        pytest.param("device=cuda", "device=cuda: there is no CUDA device here", marks=NO_GPU),
    ],
)
def test_what_cannot_run_says_so_before_anything_starts(
    override: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    with pytest.raises(UsageError) as error:
        paper(tmp_path, only(), override)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.json"))
