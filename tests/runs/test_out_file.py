"""The file that out=... names is looked at before anything is spent."""

from pathlib import Path

import pytest

from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from smoothbench.running.calibrate_or_train import save_plan
from tests.support.compose import composed


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("folder.json", "is a folder"),
        ("file/x.json", "a file stands where its folder would"),
        ("x.txt", "needs out=FILE"),
    ],
)
def test_a_file_of_calibration_that_cannot_be_is_refused_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr("smoothbench.running.calibrate_or_train.build_model", None)  # nothing comes so far
    with pytest.raises(UsageError, match=message):
        save_plan(settings(composed("stage=calibrate", "cache=smoothcache", f"out={out}")))
