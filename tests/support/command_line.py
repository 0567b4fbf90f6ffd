"""Run the command line in the test's own process."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from smoothbench.cli import main


def errors_of(
    arguments: Sequence[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[int, list[str]]:
    """Return the command's exit code and the lines of its error stream.

    The remarks of diffusers and transformers stay out: where the variable CI is set, their logs would be ours too.
    """
    for library in ("diffusers", "transformers"):
        monkeypatch.setattr(logging.getLogger(library), "propagate", False)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["smoothbench", *arguments])
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as end:
        main()
    assert isinstance(end.value.code, int)
    return end.value.code, capfd.readouterr().err.splitlines()


def refusal_of(
    arguments: Sequence[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> str:
    """Return the one line with which the command ends, beside the one that names the device; its exit code is 2."""
    code, errors = errors_of(arguments, folder, monkeypatch, capfd)
    lines = [line for line in errors if not line.startswith("device: ")]
    assert code == 2
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]
