"""Signals, streams that break or lack letters, foreign folders and notebooks' environments."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from smoothbench import command
from smoothbench.command import Stopped, Stream, stoppable, streams
from smoothbench.config.instantiate import build
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
    while process.poll() is None and not list(tmp_path.rglob("*.png")):
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143, errors
    last = errors.strip().splitlines()[-1]
    assert last == "error: stopped by SIGTERM: the same command goes on where it stopped"
    assert "Traceback" not in errors
    assert not list(tmp_path.rglob("*.tmp")) and not list(tmp_path.rglob(".jobs*"))


# streams


def test_letters_that_an_encoding_lacks_are_replaced() -> None:
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, encoding="ascii"))
    print("\u25b2 better, 1.0 \u00b1 0.1, \u65e5", file=stream)  # type: ignore[call-overload]
    stream.flush()
    assert raw.getvalue() == b"^ better, 1.0 +- 0.1, ?\n"


def test_a_stream_without_a_reader_takes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with streams(), streams():  # a job's within the command's
            print("x" * 100_000, flush=True)
            print("more")
        assert sys.stdout is pipe


@pytest.mark.parametrize("stream", [None, "closed"])
def test_a_stream_that_is_closed_takes_everything(
    monkeypatch: pytest.MonkeyPatch, stream: str | None
) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed if stream else None)
    with streams():
        print("anything", flush=True)


def test_a_full_disk_under_the_output_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    full = open("/dev/full", "wb", buffering=0)  # noqa: SIM115  closing it would fail as well
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(full, write_through=True))
    with pytest.raises(OSError, match="No space left"), streams():
        print("anything", flush=True)


def test_a_finished_run_ends_well_without_arrows_a_reader_or_the_backend_of_a_notebook(
    tmp_path: Path,
) -> None:
    few = "num_samples=2 metrics=[psnr] latency.rounds=0 solver.steps=4 device=cpu"
    shell = f"{sys.executable} -m smoothbench cache=fora {few} | head -1; echo ${{PIPESTATUS[0]}}"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "MPLBACKEND": "nonsense"}
    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=tmp_path,
        env=os.environ | plain,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout.splitlines()[-1] == "0", done.stderr
    assert "BrokenPipe" not in done.stderr and "error" not in done.stderr


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


def test_the_mechanism_leaves_packages_of_our_names_alone(tmp_path: Path) -> None:
    (tmp_path / "metrics.py").write_text("mine = True\n")
    code = "import smoothbench.caching, metrics; assert metrics.mine"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


# causes


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", r"ModuleNotFoundError: No module named 'no_such_module'"),
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "RuntimeError: operator torchvision",
        ),
        ("raise ValueError('Key backend: bad')", "ValueError: Key backend: bad"),
        (
            "",
            "ModuleNotFoundError: No module named 'broken_module_3.Thing'; 'broken_module_3' is not a package",
        ),
    ],
)
def test_what_an_import_fails_with_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str, request: pytest.FixtureRequest
) -> None:
    number = request.node.callspec.indices["source"]
    (tmp_path / f"broken_module_{number}.py").write_text(source + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError) as error:
        build({"_target_": f"broken_module_{number}.Thing"}, "metrics.psnr")
    text = str(error.value)
    assert text.startswith(f"metrics.psnr: broken_module_{number}.Thing cannot be imported ({message}")
    assert "\n" not in text and "HYDRA_FULL_ERROR" not in text


def test_what_a_call_fails_with_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "class Thing:\n    def __init__(self):\n        raise RuntimeError('no licence')\n"
    (tmp_path / "broken_call.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"^here: RuntimeError: no licence$"):
        build({"_target_": "broken_call.Thing"}, "here")


def test_stopped_is_an_interrupt() -> None:
    assert issubclass(Stopped, KeyboardInterrupt)
