"""A results folder on a file system without file locks: leases stand in for them, or the run is refused."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from smoothbench.config.expand import settings
from smoothbench.errors import UsageError
from smoothbench.running.calibrate_or_train import save_plan
from smoothbench.storage import lock_kind
from smoothbench.storage.results_folder import Store
from tests.support.compose import composed, experiment

FEW = ("metrics=[psnr]", "only=[fora]", "solver.steps=4", "num_samples=2")


def folder_of(path: Path) -> Path:
    return path / "runs/smoke"


def no_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A file system that has no locks."""

    def refused(file: Any, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    monkeypatch.setattr(lock_kind, "PATIENCE", 0.01)


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_gets_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    no_locks(monkeypatch, number)
    with Store(folder_of(tmp_path)).enter() as working, Store(folder_of(tmp_path)).enter() as other:
        assert not working.last()
        other.leave()
        assert working.last()
    assert (folder_of(tmp_path) / ".locks/leases").exists()
    assert not list(tmp_path.rglob("working.*lease")) and not list(tmp_path.rglob("working.*shared"))


def test_a_file_system_without_locks_and_leases_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_locks(monkeypatch, errno.ENOLCK)
    create = os.open

    def shared(path: Any, flags: int, *mode: int) -> int:
        """Whoever creates a file exclusively gets it, even if it is there."""
        return create(path, flags & ~os.O_EXCL, *mode) if "lease" in str(path) else create(path, flags, *mode)

    monkeypatch.setattr(os, "open", shared)
    plan = settings(composed("stage=calibrate", f"out={tmp_path / 'c.npz'}", f"results_dir={tmp_path}"))
    for refused in (lambda: experiment(tmp_path, *FEW), lambda: save_plan(plan)):
        with pytest.raises(UsageError) as error:
            refused()
        text = str(error.value)
        assert (
            text.startswith(f"{tmp_path}/runs/")
            and "has neither file locks" in text
            and "results_dir=" in text
        )
        assert "\n" not in text
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
