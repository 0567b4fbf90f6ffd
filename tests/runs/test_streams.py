"""Output streams: closed, full, without a reader, or in an encoding that lacks letters."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from smoothbench.command import Stream, streams


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
