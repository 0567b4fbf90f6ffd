"""Runs that are disturbed: killed, interrupted, out of memory, out of disk, damaged, or two at once."""

import errno
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch

from smoothbench.errors import PointsFailed, UsageError
from smoothbench.protocols import AnnounceForward
from smoothbench.running.point_stages import Stages
from tests.stress.kill import FEW, finish, kill_once, snapshot, start, undisturbed
from tests.support.compose import experiment
from tests.support.runs import files, limited, read, run

SMALL = ("metrics=[psnr,fd_nano]", "only=[fora]")
Run = tuple[Path, dict[str, Any], dict[str, bytes]]


@pytest.fixture(scope="module")
def undisturbed_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], float]:
    return undisturbed(tmp_path_factory.mktemp("whole"), *FEW)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An undisturbed run of the small experiment: its folder, records and files."""
    folder = tmp_path_factory.mktemp("small")
    return folder, run(folder, *SMALL), files(folder)


@pytest.mark.parametrize("seed", [1, 2])  # more of them: tests/stress
def test_killed_at_any_moment_the_same_command_ends_the_same(
    tmp_path: Path, undisturbed_run: tuple[dict[str, str], float], seed: int
) -> None:
    kill_once(tmp_path, *undisturbed_run, random.Random(seed), *FEW)


def test_two_processes_in_one_folder_share_the_work(
    tmp_path: Path, undisturbed_run: tuple[dict[str, str], float]
) -> None:
    processes = [start(tmp_path, *FEW), start(tmp_path, *FEW)]
    for process in processes:
        finish(process)
    assert snapshot(tmp_path) == undisturbed_run[0]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interruption_says_how_to_go_on(
    tmp_path: Path, undisturbed_run: tuple[dict[str, str], float], number: signal.Signals, code: int
) -> None:
    process = start(tmp_path, *FEW)
    while process.returncode is None and not list(tmp_path.rglob("*.png")):
        time.sleep(0.001)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code and "the same command goes on where it stopped" in errors
    assert "Traceback" not in errors and not list(tmp_path.rglob("*.tmp"))
    if number != signal.SIGHUP:  # which ends a run as SIGTERM does
        finish(start(tmp_path, *FEW))
        assert snapshot(tmp_path) == undisturbed_run[0]


def test_out_of_memory_halves_a_batch_and_changes_no_sample(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain", *SMALL)
    limited(experiment(tmp_path / "limited", *SMALL), rows=4).run()
    records = read(tmp_path / "limited")
    assert files(tmp_path / "limited") == files(tmp_path / "plain")
    assert [r["cost"].pop("batches_halved") for r in records.values()] == [1, 1]  # of 4 and 2, the first
    assert [r["cost"].pop("batches_halved") for r in plain.values()] == [0, 0]
    assert records == plain


def test_out_of_memory_at_one_sample_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(PointsFailed):
        limited(experiment(tmp_path, *SMALL), rows=1).run()
    assert "not even a batch of 1 fits" in read(tmp_path)["reference"]["reason"]


def full_disk(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """No space is left after so many files."""
    written = [0]
    replace = os.replace

    def replace_or_fail(source: Any, target: Any) -> None:
        written[0] += 1
        if written[0] > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_or_fail)


@pytest.mark.parametrize("after", [0, 5, 12, 17, 18, 19])  # samples, previews, rows, scores, records
def test_a_full_disk_ends_the_run_in_one_line_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_run: Run, after: int
) -> None:
    _, expected, samples = small_run
    running = experiment(tmp_path / "full", *SMALL)
    with monkeypatch.context() as patched:
        full_disk(patched, after)
        with pytest.raises(PointsFailed, match=r"no space left for .*: make room, and the same command"):
            running.run()
    assert not list(tmp_path.rglob(".*.tmp"))
    assert run(tmp_path / "full", *SMALL) == expected
    assert files(tmp_path / "full") == samples


def test_a_disk_that_is_full_while_methods_are_planned_is_no_failure_of_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = experiment(tmp_path, "metrics=[psnr]", "only=[smoothcache]", "solver.steps=4")
    with monkeypatch.context() as patched:
        full_disk(patched, 0)
        with pytest.raises(PointsFailed, match=r"no space left for .*: make room, and the same command"):
            running.run()
    assert not list(tmp_path.rglob("records/*.json"))


def test_a_disk_that_is_too_small_is_told_before_the_first_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = experiment(tmp_path, *SMALL)
    usage = type("Usage", (), {"free": 100})()
    monkeypatch.setattr("smoothbench.running.estimate.shutil.disk_usage", lambda path: usage)
    with pytest.raises(
        UsageError, match=r"has 0\.0+ GB free, but the samples need about 0\.0*[1-9]: .*only="
    ):
        running.run()
    assert not list(tmp_path.rglob("*.png"))


def test_samples_that_are_not_finite_fail_their_point_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = experiment(tmp_path, "metrics=[psnr,fd_nano]", "only=[fora,taylor]")
    predict = running.bench.model.predict
    taylor = next(point for point in running.bench.points if point.spec.name == "taylor")

    def broken(
        x: torch.Tensor, t: float, conditioning: torch.Tensor, announce: AnnounceForward
    ) -> torch.Tensor:
        out = predict(x, t, conditioning, announce)
        labels = conditioning[: len(x)].view(-1, 1, 1, 1)
        return torch.where(labels == 3, torch.nan, out) if breaks else out

    running.bench.model.predict = broken  # type: ignore[method-assign]
    breaks = False
    complete = Stages.complete

    def complete_broken(stages: Stages, point: Any, tick: Any) -> bool:
        nonlocal breaks
        breaks = point is taylor
        return complete(stages, point, tick)

    monkeypatch.setattr(Stages, "complete", complete_broken)
    with pytest.raises(PointsFailed, match="1 of 3 points failed: taylor"):
        running.run()
    records = read(tmp_path)
    assert records["taylor"]["status"]["quality"] == "failed" and not records["taylor"]["scores"]
    assert records["taylor"]["reason"].endswith("1 of 4 samples are not finite (seeds [3])")
    assert records["fora-interval=2"]["status"]["quality"] == "done"


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:-9] + b"x" + path.read_bytes()[-8:]),
    "emptied": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "what", ["samples/*/000000004.png", "records/fora*", "observations/*/*", "scores/fora*"]
)
def test_damage_is_found_and_only_that_is_done_again(
    tmp_path: Path, small_run: Run, what: str, damage: str
) -> None:
    folder, expected, samples = small_run
    copytree(folder, tmp_path, dirs_exist_ok=True)
    target = sorted((tmp_path / "runs/smoke").glob(what))[-1]
    content = target.read_bytes()
    first = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("000000000.png")}
    DAMAGES[damage](target)
    assert run(tmp_path, *SMALL) == expected and files(tmp_path) == samples
    if not what.startswith("records"):  # which holds the time of its making
        assert target.read_bytes() == content
    untouched = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("samples/*/000000000.png")}
    assert untouched.items() <= first.items()  # the batch of the damaged sample is another one


@pytest.mark.parametrize("moment", [0, 4102444800])
def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, moment: int, small_run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    folder, expected, _ = small_run
    copytree(folder, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("*"):
        os.utime(path, (moment, moment))
    with caplog.at_level("INFO"):
        assert run(tmp_path, *SMALL) == expected
    assert "all done before" in caplog.text
