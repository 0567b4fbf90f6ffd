"""The report's command: the same records give the same bytes, in another process too; what it prints and publishes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import smoothbench.report
from smoothbench.report import write
from smoothbench.report.__main__ import main
from tests.support.report_folder import RENDERED, build


def command(folder: Path) -> subprocess.CompletedProcess[str]:
    """The report in a process of its own, where sets and dictionaries of strings hash otherwise."""
    root = str(Path(smoothbench.report.__file__).parents[2])
    line = [sys.executable, "-m", "smoothbench.report", str(folder)]
    environment = os.environ | {"PYTHONPATH": root, "PYTHONHASHSEED": "7"}
    return subprocess.run(line, capture_output=True, text=True, env=environment, check=False)


def test_same_records_same_bytes(tmp_path: Path) -> None:
    folder = build(tmp_path / "dit_ddim", (0, 1, 5, 6, 7, 10, 14, 15, 18, 21), ("fd_nano@256",))
    first = {path: path.read_bytes() for path in write(folder)}
    assert {path.name for path in first} == RENDERED
    for path in first:
        path.unlink()
    assert command(folder).returncode == 0
    assert first == {path: path.read_bytes() for path in first}
    assert not list(folder.glob(".*"))  # no temporary file stays


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build(tmp_path / "dit_ddim", (0, 6, 21), ())  # without scores there are no plots to draw
    assert main([str(folder), "--publish", str(tmp_path / "copy")]) == 0
    out = capsys.readouterr().out
    assert "FORA N=2" in out and "failed: L2C router" in out
    assert re.search(r"copy \(\d+ files, \d+\.\d MiB\)", out)
    assert (tmp_path / "copy" / "report.md").exists()
    assert main([str(tmp_path / "nothing")]) == 2
    out, errors = capsys.readouterr()
    assert out == "" and errors.count("\n") == 1 and "no readable record" in errors
