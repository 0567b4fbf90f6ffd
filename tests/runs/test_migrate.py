"""Results of schema 2 get the names of now: proved from their own content, all of them or none."""

import json
import os
from pathlib import Path
from zipfile import ZipFile

import pytest

from smoothbench.errors import UsageError
from smoothbench.migration import migrate
from smoothbench.report.data.frame import load
from smoothbench.storage.results_folder import Store
from tests.support.runs import run

OLD = Path(__file__).with_name("old_results.zip")  # as an earlier version wrote it, by the command below
COMMAND = ("only=[none,fora,taylor,smoothcache]", "metrics=[psnr,fd_nano]", "num_samples=2", "batch_size=2")
COMMAND += ("solver.steps=5",)


def files(folder: Path) -> dict[str, bytes]:
    """All that a run keeps and a report does not draw; locks are nothing."""
    parts = ("records", "scores", "curves", "previews", "samples", "observations")
    paths = [path for part in parts for path in (folder / part).rglob("*.*")] + [folder / "latency.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def old_results(tmp_path: Path) -> Path:
    folder = tmp_path / "old/runs/smoke"
    with ZipFile(OLD) as archive:
        archive.extractall(folder)
    return folder


def test_the_same_command_goes_on_from_migrated_results(old_results: Path) -> None:
    migrate.migrate(old_results)
    before = files(old_results)
    for seed in (0, 1):
        run(old_results.parents[1], *COMMAND, f"seed={seed}")
    assert files(old_results) == before


def test_what_is_in_results_stays(old_results: Path) -> None:
    before = {path.name[:-18]: json.loads(path.read_text()) for path in old_results.glob("records/*-*.json")}
    count = len(list(old_results.rglob("*.*")))
    assert "15 records have new names" in migrate.migrate(old_results)
    frame = load(old_results)
    assert len(list(old_results.rglob("*.*"))) == count and frame["latency"].notna().all()
    for record in Store(old_results).records():
        same = before[record.name]
        assert record.to_json()["schedule"] == same["schedule"] and record.config == same["config"]
        assert record.described.model.kind == "pixel_dit"
    assert "nothing to do" in migrate.migrate(old_results)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a migration leaves that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    with ZipFile(OLD) as archive:
        archive.extractall(folder)
    migrate.migrate(folder)
    return files(folder)


@pytest.mark.parametrize("steps", [0, 1, 7, 20, 40, 60, 75, 80, 85])
def test_a_killed_migration_goes_on(
    old_results: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    left = steps

    def replaced(source: str | Path, target: str | Path) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        rename(source, target)

    def unlinked(path: Path, missing_ok: bool = False) -> None:
        nonlocal left
        if left == 0 and path.suffix != ".tmp":
            raise KeyboardInterrupt
        left -= path.suffix != ".tmp"
        unlink(path, missing_ok)

    rename, unlink = os.replace, Path.unlink
    with monkeypatch.context() as killed:
        killed.setattr(os, "replace", replaced)
        killed.setattr(os, "rename", replaced)
        killed.setattr(Path, "unlink", unlinked)
        with pytest.raises(KeyboardInterrupt):
            migrate.migrate(old_results)
    with pytest.raises(UsageError, match=r"python -m smoothbench\.migrate"):
        load(old_results)
    migrate.migrate(old_results)
    assert files(old_results) == undisturbed


def test_what_cannot_be_proved_is_named_and_nothing_is_written(
    old_results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(old_results.glob("records/fora-*.json"))
    record = json.loads(path.read_text())
    record["config"]["solver"]["steps"] = 6
    path.write_text(json.dumps(record))
    before = files(old_results)
    assert migrate.main([str(old_results)]) == 2
    error = capsys.readouterr().err
    assert f"records/{path.name}: its ids do not come out again" in error and error.count("\n") == 1
    assert files(old_results) == before


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("seeds", None, "it has no 'seeds'"), ("schedule", {"rows": 3}, "it has no 'schedule")],
)
def test_a_damaged_record_is_named(
    old_results: Path, capsys: pytest.CaptureFixture[str], key: str, value: object, message: str
) -> None:
    path = next(old_results.glob("records/fora-*.json"))
    record = json.loads(path.read_text())
    record |= {key: value}
    if value is None:
        del record[key]
    path.write_text(json.dumps(record))
    assert migrate.main([str(old_results)]) == 2
    error = capsys.readouterr().err
    assert f"records/{path.name}: {message}" in error and error.count("\n") == 1


def test_a_score_of_other_code_keeps_its_hash_and_is_made_anew(old_results: Path) -> None:
    for path in old_results.glob("records/fora-*.json"):
        record = json.loads(path.read_text())
        for name in record["scores"]:
            record["scores"][name]["config_hash"] = "000000000000"
        path.write_text(json.dumps(record))
    summary = migrate.migrate(old_results)
    assert "psnr keeps its old hash: its hash does not come out again" in summary
    for seed in (0, 1):
        run(old_results.parents[1], *COMMAND, f"seed={seed}")
    hashes = {
        score.config_hash for record in Store(old_results).records() for score in record.scores.values()
    }
    assert len(hashes) == 2  # one a metric


def test_a_run_in_results_of_an_earlier_version_says_how_to_migrate_them(old_results: Path) -> None:
    before = files(old_results)
    with pytest.raises(
        UsageError,
        match=f"{old_results}: its results are of an earlier version.*smoothbench.migrate {old_results}",
    ):
        run(old_results.parents[1], *COMMAND)
    assert files(old_results) == before


def test_a_folder_without_records_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate.main([str(tmp_path)]) == 2
    assert "there are no records in it" in capsys.readouterr().err


def test_results_of_a_newer_version_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    record = tmp_path / "records" / "new-0123456789ab.json"
    record.write_text('{"schema": 99}')
    with pytest.raises(UsageError, match=r"its schema is 99, of a newer version .*update smoothbench"):
        Store(tmp_path).enter()
    assert record.read_text() == '{"schema": 99}'
