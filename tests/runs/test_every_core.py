"""The same command on every core: one thread each, the worst exit code, and tables while points are to come."""

import os
import signal
import sys
from pathlib import Path

import pytest

from smoothbench import every_core
from smoothbench.every_core import GrowingReport, cores, results_folder, run
from tests.support.report_folder import build

# leaves its threads, and waits for the other one
ENDS = """
import os, sys, time
open(f"threads-{os.getpid()}", "w").write(os.environ["OMP_NUM_THREADS"])
while len([name for name in os.listdir() if name.startswith("threads")]) < 2:
    time.sleep(0.01)
print("a word of the process", file=sys.stderr)
sys.exit(3)
"""
WAITS = """
import os, time
open(f"here-{os.getpid()}", "w").close()
time.sleep(60)
"""


def test_each_process_has_one_thread_and_the_worst_exit_code_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(every_core, "POLL", 0.01)
    assert run([sys.executable, "-c", ENDS], tmp_path, 2) == 3
    assert [path.read_text() for path in tmp_path.glob("threads-*")] == ["1", "1"]
    assert capfd.readouterr().err == "a word of the process\n", "one process alone speaks"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(every_core, "POLL", 0.01)

    def look(report: GrowingReport) -> bool:
        if len(list(tmp_path.glob("here-*"))) == 2:
            os.kill(os.getpid(), number)
        return False

    monkeypatch.setattr(GrowingReport, "look", look)
    # a shell's background job ignores SIGINT, and so would the test
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = signal.signal(number, usual[number])
    try:
        assert run([sys.executable, "-c", WAITS], tmp_path, 2) == code
    finally:
        signal.signal(number, before)
    for path in tmp_path.glob("here-*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name.partition("-")[2]), 0)


def test_a_first_table_and_picture_stand_after_three_points_and_grow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(tmp_path / "all", (0, 6, 7), ("fd_nano@256", "psnr@256"))
    (tmp_path / "run/records").mkdir(parents=True)
    growing = GrowingReport(tmp_path / "run")
    written = []
    for path in sorted(tmp_path.glob("all/records/*.json"), reverse=True):  # the reference is the second
        (tmp_path / "run/records" / path.name).write_bytes(path.read_bytes())
        written.append(growing.look())
    assert written == [False, False, True] and not growing.look()
    names = {path.name for path in (tmp_path / "run").iterdir()} - {".locks"}
    assert names == {"records", "report.md", "table.csv", "table.tex", "headline.png"}
    assert "FORA N=3" in (tmp_path / "run/report.md").read_text()
    assert "3 points are done: " in capsys.readouterr().err
    assert not GrowingReport(tmp_path / "run").look(), "of points that were done before there is a report"


def test_the_folder_is_that_of_the_command(tmp_path: Path) -> None:
    assert results_folder(["+exp=smoke", f"results_dir={tmp_path}"]) == tmp_path / "runs/smoke"
    assert results_folder(["+exp=nowhere"]) is None and results_folder(["-m", "+exp=smoke"]) is None
    assert cores() >= 1
