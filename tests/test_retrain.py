"""The one command that trains an embedded model again: its parts exist and know what it tells them."""

import importlib
import sys
from pathlib import Path

import pytest

from smoothbench.models.nano.retrain import retrain

PACKAGES = ["smoothbench.models.nano.audio", "smoothbench.models.nano.video"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_step_is_a_command_that_knows_its_arguments(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = importlib.import_module(f"{package}.__main__").steps("work", "out")
    assert len(steps) >= 3
    for module, *arguments in steps:
        monkeypatch.setattr(sys, "argv", [module, *arguments, "--help"])
        with pytest.raises(SystemExit) as ended:
            importlib.import_module(f"{package}.{module}").main()
        known = capsys.readouterr().out
        assert ended.value.code == 0
        assert all(flag in known for flag in arguments if flag.startswith("--")), module


def test_a_step_that_fails_ends_it_with_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["retrain", "--work", str(tmp_path), "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        retrain("smoothbench.models.nano.audio", None, lambda work, out: [["train_codec"], ["absent"]])
    assert ended.value.code == 2  # argparse's: what train_codec must be told is not there
    errors = capfd.readouterr().err
    assert "--corpus" in errors and "absent" not in errors
