"""What the leaderboard refuses: one line that names the file, the field, and what was expected."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from smoothbench.leaderboard.__main__ import main
from tests.support.published_part import edit, part_of

NAME = "fora-orientation=mirrored-interval=3"
PSNR = ("scores", "psnr@2048", "value")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return part_of(tmp_path_factory.mktemp("published") / "dit_ddim", "dit_ddim", NAME, "fewer-steps=18")


@pytest.fixture
def folder(source: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(source, tmp_path / "handed_in"))


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *more: str) -> list[str]:
    out = folder.parent / "site"
    assert main([str(folder), "--out", str(out), *more]) == 2
    assert not out.exists()
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    return lines


def test_sound_records_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder)]) == 0
    assert (
        "3 points (3 standard errors and intervals recomputed from per-sample scores)"
        in capsys.readouterr().out
    )


def test_a_changed_number_is_refused_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = json.loads(next((folder / "records").glob(f"{NAME}-*.json")).read_text())
    value = stored["scores"]["psnr@2048"]["value"]
    file = edit(folder, NAME, *PSNR, to=round(value + 0.1, 2))
    first, *_, last = refused(capsys, folder)
    assert first.startswith(f"error: {file}: scores.psnr@2048.value is {round(value + 0.1, 2)}, but ")
    assert f": {value:.6g}" in first
    assert last == "error: 1 of 1 folders refused: nothing is written"


@pytest.mark.parametrize(
    ("path", "to", "says"),
    [
        (("cost",), None, "it has no 'cost'"),
        (("schema",), 9, "schema is 9"),
        (("scores", "psnr@2048", "n"), None, "it has no 'scores.psnr@2048.n'"),
        (("point_id",), "0123456789ab", "point_id is 0123456789ab, but its file is called after another"),
        (("sample_id",), "0123456789ab", "sample_id is 0123456789ab, but "),
        (("reference_id",), "0123456789ab", "reference_id is 0123456789ab, but "),
        (("described",), None, "described is None, but "),
    ],
)
def test_a_record_that_is_none_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], path: tuple[str, ...], to: object, says: str
) -> None:
    file = edit(folder, NAME, *path, to=to)
    first = refused(capsys, folder)[0]
    assert str(file) in first and says in first


def test_scores_of_other_samples_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((folder / "scores").glob(f"{NAME}-*.npz"))
    arrays = dict(np.load(path))
    arrays["psnr@2048"] = arrays["psnr@2048"] * 2
    np.savez_compressed(path, **arrays)
    assert any("scores.psnr@2048.se is " in line for line in refused(capsys, folder))
    path.unlink()
    assert "has no readable" in refused(capsys, folder)[0]


@pytest.mark.parametrize("short", [True, False])
def test_scores_that_are_not_one_number_a_sample_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], short: bool
) -> None:
    path = next((folder / "scores").glob(f"{NAME}-*.npz"))
    arrays = {name: array[1:] if short else array for name, array in np.load(path).items()}
    if not short:
        arrays["psnr@2048"][0] = np.nan
    np.savez_compressed(path, **arrays)
    (line, *_) = refused(capsys, folder)
    assert f"{path}: " in line and "is not one finite number for each of 2048 samples" in line


def test_more_numbers_than_fit_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(folder, NAME, "seeds", to=[[0, 512], [1000000, 1000512], [2000000, 2000512], [4000000, 4000512]])
    assert len(refused(capsys, folder)) <= 12


def _file(out: Path) -> None:
    out.write_text("mine")


def _thesis(out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").write_text("mine")


def _forged(out: Path) -> None:
    out.mkdir()
    (out / "leaderboard.json").write_text("[]")


@pytest.mark.parametrize("make", [_file, _thesis, _forged])
def test_only_a_folder_of_its_own_is_written_to(
    folder: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None]
) -> None:
    out = folder.parent / "out"
    make(out)
    before = [path.read_text() for path in sorted(out.rglob("*.*"))]
    assert main([str(folder), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --out {out}: ") and "choose" in line
    assert [path.read_text() for path in sorted(out.rglob("*.*"))] == before


def test_a_folder_without_records_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, says in ((tmp_path / "none", "no such folder"), (tmp_path, "no records in it")):
        assert main([str(folder)]) == 2
        assert says in capsys.readouterr().err
    (tmp_path / "records").mkdir()
    assert main([str(tmp_path)]) == 2
    assert "is empty" in capsys.readouterr().err


def test_a_table_without_records_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("table_alone", "runs/own"):
        bare = folder.parent / name
        bare.mkdir(parents=True)
        (bare / "table.csv.gz").touch()
    assert main([str(folder.parent)]) == 0
    named = [line for line in capsys.readouterr().out.splitlines() if "without records" in line]
    assert len(named) == 1 and named[0].startswith(f"{folder.parent / 'table_alone'}: ")


def test_no_code_of_a_submission_runs(folder: Path, tmp_path: Path) -> None:
    """A record names its classes by import path, and comes from somebody else."""
    mark = tmp_path / "ran"
    for group in ("model", "cache", "solver"):
        edit(folder, NAME, "config", group, "_target_", to="pathlib.Path.touch")
        edit(folder, NAME, "config", group, "self", to={"_target_": "pathlib.Path", "_args_": [str(mark)]})
    main([str(folder)])
    assert not mark.exists()
