"""Run the command line in the test's own process, for what it refuses."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from smoothbench.cli import main


def refusal_of(
    arguments: Sequence[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> str:
    """Return the one line with which the command ends, beside the one that names the device; its exit code is 2."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["smoothbench", *arguments])
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as end:
        main()
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("device: ")]
    assert end.value.code == 2
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]
