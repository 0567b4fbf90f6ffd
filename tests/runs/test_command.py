"""Signals, streams that break or lack letters, foreign folders and notebooks' environments."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from smoothbench import command
from smoothbench.command import Stopped, stoppable
from smoothbench.errors import UsageError
from smoothbench.storage.files import write_atomic
from tests.stress.kill import start

COST = ("stage=cost", "latency.rounds=0", "solver.steps=4", "device=cpu")


# the other commands, each as if it were the first that is imported
HELP = """
import runpy, sys
for module in ("report", "export", "overhead", "vbench"):
    for name in [each for each in sys.modules if each.split(".")[0] in ("smoothbench", "metrics", "baselines")]:
        del sys.modules[name]
    sys.argv = [module, "--help"]
    try:
        runpy.run_module(f"smoothbench.{module}", run_name="__main__")
    except SystemExit:
        pass
"""


# signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_raises_as_an_interrupt_does_and_leaves_no_part_of_a_file(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # nohup may have these tests ignore it
    monkeypatch.setattr(os, "fsync", lambda file: os.kill(os.getpid(), number))
    try:
        assert command.run(lambda: write_atomic(tmp_path / "file", b"data") or 0, "go on") == 128 + number
        assert not list(tmp_path.iterdir())
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_a_hang_up_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_of_a_program_that_calls_the_command_from_a_thread_stay_its_own() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(command.run(lambda: 0, "go on")))
    thread.start()
    thread.join()
    assert codes == [0] and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_importing_the_command_line_installs_no_handler() -> None:
    import smoothbench.cli  # noqa: F401

    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_multirun_stopped_by_a_cluster_says_how_to_go_on(tmp_path: Path) -> None:
    process = start(tmp_path, "seed=0,1", "solver.steps=50", "-m")
    while process.returncode is None and not list(tmp_path.rglob("*.png")):
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    last = errors.strip().splitlines()[-1]
    assert last == "error: stopped by SIGTERM: the same command goes on where it stopped"
    assert "Traceback" not in errors
    assert not list(tmp_path.rglob("*.tmp")) and not list(tmp_path.rglob(".jobs*"))


# streams


# exit codes


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("no such\npoint"), 2), (OSError(28, "No space left on device", "file"), 1)],
)
def test_an_error_of_a_command_is_one_line_and_its_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise error

    assert command.main(work, "go on") == code
    assert capsys.readouterr().err == f"error: {' '.join(str(error).split())}\n"


def test_a_command_that_ends_well_has_the_code_of_its_work() -> None:
    assert command.main(lambda: None, "go on") == 0 and command.main(lambda: 3, "go on") == 3


# where it runs


def test_packages_and_configurations_of_the_current_folder_are_not_ours(tmp_path: Path) -> None:
    for name in ("metrics", "baselines", "conf"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise RuntimeError('this {name} is not ours')\n")
    for name in ("config.yaml", "conf/config.yaml"):
        (tmp_path / name).write_text("stage: 3\n")
    ours = [sys.executable, "-m", "smoothbench", "cache=fora", *COST]
    done = subprocess.run(ours, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    helped = subprocess.run(
        [sys.executable, "-c", HELP],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert helped.stdout.count("usage: ") == 4, helped.stderr


def test_a_python_without_the_packages_is_told_which_environment_has_them() -> None:
    without = (
        "import runpy, sys; sys.modules['hydra'] = None; runpy.run_module('smoothbench', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "has no package hydra: use the environment of make demo (. .venv/bin/activate)" in done.stderr


def test_another_package_of_our_name_that_was_imported_before_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "metrics.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", "import metrics, smoothbench.sibling_packages"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: another package metrics is imported already, from ")


# causes


def test_stopped_is_an_interrupt() -> None:
    assert issubclass(Stopped, KeyboardInterrupt)
