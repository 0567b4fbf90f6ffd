"""What only the last process at work in a folder does: latency, and pooling; and locks that there may not be."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

import smoothbench.costs.latency
from smoothbench.cli import job
from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from smoothbench.report.data.frame import load, states
from smoothbench.running.finish import same_work
from smoothbench.storage.files import replacing, scratch
from smoothbench.storage.locks import Presence, locked, opened
from smoothbench.storage.results_folder import Store
from tests.support.compose import composed, experiment
from tests.support.runs import files, read, run
from tests.support.warm_process import WarmProcess

FEW = ("metrics=[psnr]", "only=[fora]", "solver.steps=4", "num_samples=2")
TIMED = ("latency.rounds=1", "latency.warmup=0", "latency.batch_size=1")


def folder_of(path: Path) -> Path:
    return path / "runs/smoke"


def by_id(path: Path) -> dict[str, Any]:
    """All records, parts and what they were pooled to, without what differs between runs."""
    records = [json.loads(file.read_text()) for file in folder_of(path).glob("records/*.json")]
    return {each["point_id"]: {k: v for k, v in each.items() if k != "provenance"} for each in records}


def test_no_latency_is_measured_beside_another_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Store(folder_of(tmp_path)).enter(), caplog.at_level("INFO"):
        run(tmp_path, *FEW, *TIMED)
    assert not list(tmp_path.rglob("latency.json"))
    (said,) = [line for line in caplog.messages if line.startswith("latency")]
    assert said == (
        f"latency: not measured, as another process is at work in {folder_of(tmp_path)}: this run's points have no "
        "latency yet; afterwards the same command with stage=latency measures them"
    )
    assert all(record["status"]["quality"] == "done" for record in read(tmp_path).values())
    run(tmp_path, *FEW, *TIMED)
    assert list(tmp_path.rglob("latency.json"))


def test_latency_is_left_to_those_at_work_on_the_same_points(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, other = experiment(tmp_path, *FEW, *TIMED), experiment(tmp_path, *FEW, *TIMED, "seed=1")
    with other._presence, same_work(other.bench), caplog.at_level("INFO"):
        first.run()
    (said,) = [line for line in caplog.messages if line.startswith("latency")]
    assert said.startswith("latency: left to another process, which is at work on the same points")
    assert "stage=latency" in said
    other.run()
    assert list(tmp_path.rglob("latency.json"))


def test_the_stage_latency_needs_no_samples_and_makes_records(tmp_path: Path) -> None:
    run(tmp_path, "stage=latency", *TIMED, "only=[fora,smoothcache]", "solver.steps=4", "metrics=[psnr]")
    content = json.loads((folder_of(tmp_path) / "latency.json").read_text())
    names = {point["name"] for point in content["points"].values()}
    assert names == set(read(tmp_path)) >= {"reference", "fora-interval=2", "smoothcache-alpha=0.3"}
    assert all(
        record["status"] == {"quality": "skipped", "cost": "done"} for record in read(tmp_path).values()
    )
    assert {record["reason"] for record in read(tmp_path).values()} == {"stage=latency"}
    assert not files(tmp_path) and list(folder_of(tmp_path).glob("curves/*.npz"))
    frame = load(folder_of(tmp_path))
    assert frame["latency"].notna().all() and states(frame) == f"{len(frame)} costs alone"


def test_the_stage_latency_takes_nothing_from_what_is_scored(tmp_path: Path) -> None:
    before = run(tmp_path, *FEW)
    assert run(tmp_path, *FEW, *TIMED, "stage=latency") == before
    path = folder_of(tmp_path) / "latency.json"
    written = path.read_bytes()
    assert run(tmp_path, *FEW, *TIMED, "stage=latency", "force=true") == before
    assert path.read_bytes() != written


def test_the_stage_latency_is_refused_beside_another_process(tmp_path: Path) -> None:
    with Store(folder_of(tmp_path)).enter():
        with pytest.raises(UsageError, match=r"stage=latency: another process is at work in .*runs/smoke"):
            experiment(tmp_path, *FEW, *TIMED, "stage=latency")
        assert not list(tmp_path.rglob("records"))
    experiment(tmp_path, *FEW, *TIMED, "stage=latency").run()


def test_the_stage_latency_without_rounds_is_refused() -> None:
    with pytest.raises(UsageError, match=r"latency\.rounds=0: stage=latency would measure nothing"):
        settings(composed("stage=latency", "latency.rounds=0"))


@pytest.mark.parametrize("stage", ["all", "latency"])
def test_who_is_refused_is_at_work_no_more(tmp_path: Path, stage: str) -> None:
    with pytest.raises(UsageError, match="/nowhere") as error:
        experiment(tmp_path, *FEW, *TIMED, "model.path=/nowhere", f"stage={stage}")
    assert error.value  # and with it all that was there when it was raised
    experiment(tmp_path, *FEW, *TIMED, "stage=latency").run()


def test_the_stage_latency_ends_with_a_report(tmp_path: Path) -> None:
    few = ("stage=latency", "solver.steps=4", *TIMED, f"results_dir={tmp_path}", "device=cpu")
    assert job(composed(*few)) == 0
    assert (tmp_path / "runs/adhoc/latency.json").exists() and (tmp_path / "runs/adhoc/report.md").exists()


def test_who_begins_while_latency_is_measured_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process starts as soon as the first measurement does; what it says, and when it has written."""
    command = ("+exp=smoke", *FEW, "device=cpu", "latency.rounds=0", f"results_dir={tmp_path}", "seed=1")
    others: list[WarmProcess] = []
    records: list[int] = []
    measured = smoothbench.costs.latency.interleaved

    def beside(*args: Any, **kwargs: Any) -> Any:
        if not others:
            others.append(WarmProcess(*command))
            while others[0].returncode is None and others[0].errors.count("\n") < 2:
                time.sleep(0.01)
            line = others[0].errors.splitlines()[1]
            assert "waiting for another process, which measures latency in" in line
            time.sleep(0.5)
        records.append(len(list(tmp_path.rglob("records/*.json"))))
        return measured(*args, **kwargs)

    monkeypatch.setattr("smoothbench.costs.latency.interleaved", beside)
    experiment(tmp_path, *FEW, *TIMED, "stage=latency").run()
    assert set(records) == {2}
    _, errors = others[0].communicate(timeout=120)
    assert others[0].returncode == 0, errors
    assert len(list(tmp_path.rglob("records/*.json"))) == 4


def test_of_those_that_end_at_once_one_is_the_last(tmp_path: Path) -> None:
    both = [Presence(tmp_path, "working").enter() for _ in range(2)]
    assert [each.last() for each in both] == [False, True] and both[1].last()
    both[1].leave()
    with Presence(tmp_path, "working") as again:
        assert again.last()


def test_points_are_pooled_by_the_last_process_that_has_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder, seed in ((tmp_path / "plain", 0), (tmp_path / "plain", 1), (tmp_path, 0)):
        run(folder, *FEW, f"seed={seed}")
    plain = by_id(tmp_path / "plain")
    sharing = Store(folder_of(tmp_path)).sharing
    with caplog.at_level("INFO"):
        name = next(path.name for path in (folder_of(tmp_path) / ".locks").glob("sharing-*"))
        with sharing(name.removeprefix("sharing-")):
            run(tmp_path, *FEW, "seed=1")
        assert "pooling: left to another process, which is at work on the same points" in caplog.messages
        assert not any(record["parts"] for record in by_id(tmp_path).values())
        with sharing("others"):
            run(tmp_path, *FEW, "seed=1")
    assert by_id(tmp_path) == plain and sum(len(record["parts"]) for record in plain.values()) == 4


@pytest.mark.parametrize("name", ["working", "present", "report"])
def test_a_lock_that_may_not_be_written_is_one_clear_line(tmp_path: Path, name: str) -> None:
    blocked = folder_of(tmp_path) / ".locks" / name
    blocked.mkdir(parents=True)  # whoever is root may write any file, but no folder
    with pytest.raises(UsageError) as error:
        experiment(tmp_path, *FEW)
        with locked(folder_of(tmp_path), name):
            pass
    text = str(error.value)
    assert text.startswith(f"{folder_of(tmp_path)}: its lock .locks/{name} ") and "results_dir=" in text
    blocked.rmdir()
    with Store(folder_of(tmp_path)).enter() as working:
        assert name == "report" or working.last()


def test_others_may_write_a_lock_as_far_as_the_umask_lets_them(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        opened(tmp_path, "working").close()
    finally:
        os.umask(before)
    assert (tmp_path / ".locks/working").stat().st_mode & 0o777 == 0o664


def test_locks_are_had_for_reading_too(tmp_path: Path) -> None:
    """NFS makes byte-range locks of them, and gives shared ones to readers alone."""
    store = Store(tmp_path)
    with store.enter() as working:
        assert working.lock is not None and store.present is not None
        for lock in (working.lock, store.present):
            assert lock.file.readable() and lock.file.writable()


def test_names_of_unfinished_files_are_never_the_same(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    names = {scratch(path).name for _ in range(100)}
    assert len(names) == 100 and all(len(name) < 200 and str(os.getpid()) in name for name in names)
    with replacing(path) as one, replacing(path) as other:  # as two containers that count alike would
        one.write(b"one")
        other.write(b"other")
    assert path.read_bytes() == b"one" and list(tmp_path.iterdir()) == [path]


def test_unfinished_files_of_any_host_are_swept_up(tmp_path: Path) -> None:
    left = scratch(folder_of(tmp_path) / "records" / "a.json")
    left.parent.mkdir(parents=True)
    left.write_text("half")
    other = Store(folder_of(tmp_path))
    with other.enter():
        assert not left.exists()
        left.write_text("being written")
        experiment(tmp_path, *FEW)
        assert left.exists()  # by the other, perhaps
