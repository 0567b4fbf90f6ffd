"""Records in other people's trackers, read back by the trackers' own readers where these are installed."""

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from smoothbench.report.data.frame import load
from smoothbench.track.__main__ import main
from smoothbench.track.tracked_runs import TrackedRun, tracked_runs
from smoothbench.track.trackers import folder_of
from tests.support.published_part import part_of

NAME = "fora-orientation=mirrored-interval=3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return part_of(tmp_path_factory.mktemp("published") / "dit_ddim", "dit_ddim", NAME)


@pytest.fixture
def runs(folder: Path) -> list[TrackedRun]:
    return list(tracked_runs(load(folder)))


def test_a_point_is_a_run(folder: Path, runs: list[TrackedRun]) -> None:
    reference, fora = runs
    record = json.loads(next((folder / "records").glob(f"{NAME}-*.json")).read_text())
    assert (reference.name, fora.name, fora.point_id) == ("reference", NAME, record["point_id"])
    assert fora.numbers["psnr@2048"] == record["scores"]["psnr@2048"]["value"]
    assert fora.numbers["fd_nano@2048.delta.low"] == record["scores"]["fd_nano@2048"]["delta"]["low"]
    assert fora.numbers["macs"] == record["cost"]["macs"]
    assert fora.parameters["steps"] == 50 and fora.parameters["guidance"] == 2.0
    assert fora.tags["label"] == record["label"] and fora.tags["status"] == "done"
    assert all(math.isfinite(value) for run in runs for value in run.numbers.values())
    assert "psnr@2048" not in reference.numbers


def test_tensorboard_reads_the_points(folder: Path, runs: list[TrackedRun], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # the second call writes in place of the first
        assert main([str(folder), "--to", "tensorboard", "--at", str(tmp_path / "logs")]) == 0
    for run in runs:
        events = EventAccumulator(str(tmp_path / "logs" / f"{run.name}-{run.point_id}")).Reload()
        read = {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
        assert read.keys() == run.numbers.keys()
        assert all(read[name] == [pytest.approx(value, rel=1e-6)] for name, value in run.numbers.items())


def test_event_files_of_others_stay(folder: Path, runs: list[TrackedRun], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    mine = tmp_path / f"{runs[0].name}-{runs[0].point_id}" / "events.mine"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert main([str(folder), "--to", "tensorboard", "--at", str(tmp_path)]) == 2
    assert mine.read_text() == "mine"


def test_a_name_leads_nowhere_else(runs: list[TrackedRun], tmp_path: Path) -> None:
    assert folder_of(runs[1], tmp_path) == tmp_path / f"{NAME}-{runs[1].point_id}"
    away = folder_of(replace(runs[1], name="../../away/x" + "y" * 300), tmp_path)
    assert away.resolve().parent == tmp_path and len(away.name) < 100


def test_mlflow_reads_the_points(
    folder: Path,
    runs: list[TrackedRun],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="pip install mlflow")
    assert main([str(folder), "--to", "mlflow", "--at", "nowhere://x"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: --to mlflow: ")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    place = (tmp_path / "mlruns").as_uri()
    for _ in range(2):
        assert main([str(folder), "--to", "mlflow", "--at", place]) == 0
    client = mlflow.MlflowClient(tracking_uri=place)
    experiment = client.get_experiment_by_name("dit_ddim")
    read = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert read.keys() == {run.name for run in runs}
    for run in runs:
        metrics = read[run.name].data.metrics
        assert {name: metrics[name.replace("@", "_")] for name in run.numbers} == run.numbers
        assert read[run.name].data.params["steps"] == "50"
        assert read[run.name].data.tags["label"] == run.tags["label"]


def test_parquet_holds_every_column(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pip install pyarrow")
    path = tmp_path / "all.parquet"
    assert main([str(folder), "--to", "parquet", "--at", str(path)]) == 0
    table, frame = pd.read_parquet(path), load(folder)
    assert list(table["point_id"]) == list(frame["point_id"])
    assert list(table["fd_nano@2048"]) == list(frame["fd_nano@2048"])
    assert main([str(folder), "--to", "parquet", "--at", str(tmp_path)]) == 2


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without any tracker."""
    from importlib import import_module

    def missing(name: str) -> object:
        if name in ("mlflow", "tensorboard", "trackio", "wandb"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return import_module(name)

    monkeypatch.setattr("smoothbench.track.trackers.import_module", missing)
    yield


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize(
    ("to", "package"),
    [("mlflow", "mlflow"), ("tensorboard", "tensorboard"), ("trackio", "trackio"), ("wandb", "wandb")],
)
def test_a_missing_library_is_named_with_its_command(
    folder: Path, capsys: pytest.CaptureFixture[str], to: str, package: str
) -> None:
    assert main([str(folder), "--to", to]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --to {to}: it is not installed") and line.endswith(
        f"pip install {package}"
    )
    assert {path.name for path in folder.iterdir()} == {"records", "scores", "curves"}


def test_an_unknown_tracker_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--to", "excel"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "error: --to excel: there is no such tracker: choose one of mlflow, parquet, tensorboard, trackio, wandb"
    )


def test_a_damaged_record_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    path = next((copy / "records").glob(f"{NAME}-*.json"))
    path.write_text("{")
    for place, says in ((copy, path.name), (tmp_path / "none", "no readable record")):
        assert main([str(place), "--to", "parquet"]) == 2
        assert says in capsys.readouterr().err.splitlines()[-1]
