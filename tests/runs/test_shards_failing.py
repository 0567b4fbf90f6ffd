"""Shards in which points fail, or memory does not suffice: the outcome is that of one process."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench.caching import Run
from smoothbench.errors import PointsFailed
from smoothbench.planning.point import Point
from smoothbench.protocols import Model
from smoothbench.sampling import point_batches
from smoothbench.sampling.point_batches import sample_in_parts
from smoothbench.storage.drawn_point import DrawnPoint
from smoothbench.storage.shard_folder import ShardFolder
from tests.stress.kill import snapshot
from tests.support.shards import SCORED, completes


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one process leaves."""
    folder = tmp_path_factory.mktemp("whole")
    assert completes(folder, *SCORED)
    return snapshot(folder)


def failing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Make points of this name fail once they are drawn."""

    def refuse(point: Point, model: Model, run: Run) -> None:
        if point.spec.name.startswith(name):
            raise RuntimeError("executed forwards cost too much")

    monkeypatch.setattr("smoothbench.sampling.point_batches.check_realised_macs", refuse)


def test_a_point_that_fails_in_a_shard_fails_as_in_one_process(
    tmp_path: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "fora")
    with pytest.raises(PointsFailed, match="1 of 4 points failed"):
        completes(tmp_path / "one", *SCORED)
    with pytest.raises(PointsFailed, match=r"shard 0 of 2: 1 of 4 points failed: fora\S+: the same command"):
        completes(tmp_path / "two", *SCORED, "shards=2", "shard=0")
    with pytest.raises(PointsFailed, match=r"^1 of 4 points failed"):
        completes(tmp_path / "two", *SCORED, "shards=2", "shard=1")
    assert snapshot(tmp_path / "two") == snapshot(tmp_path / "one")
    monkeypatch.undo()
    assert not completes(tmp_path / "two", *SCORED, "shards=2", "shard=1")  # the other failed, too
    assert completes(tmp_path / "two", *SCORED, "shards=2", "shard=0")
    assert snapshot(tmp_path / "two") == whole


@pytest.mark.parametrize("name", ["fora", "reference"])
def test_a_shard_that_failed_is_drawn_again_by_the_same_command_and_by_nobody_else(
    tmp_path: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    drawn: list[int] = []

    def watched(point: Point, model: Model, batch: Sequence[int], *others: Any) -> Any:
        drawn.extend(batch)
        return sample_in_parts(point, model, batch, *others)

    with monkeypatch.context() as patched:
        failing(patched, name)
        with pytest.raises(PointsFailed, match="shard 0 of 2"):
            completes(tmp_path, *SCORED, "shards=2", "shard=0")
    monkeypatch.setattr("smoothbench.sampling.point_batches.sample_in_parts", watched)
    with pytest.raises(PointsFailed, match="1 of 4" if name == "fora" else "4 of 4|1 of 4"):
        completes(tmp_path, *SCORED, "shards=2", "shard=1")
    assert set(drawn) == {2, 3, 4}  # of the seeds of the other shard none
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("records/*.json")]
    assert "executed forwards cost too much" in {record["reason"] for record in records}
    drawn.clear()
    assert not completes(tmp_path, *SCORED, "shards=2", "shard=1") and not drawn
    assert completes(tmp_path, *SCORED, "shards=2", "shard=0")
    assert set(drawn) == {0, 1} and snapshot(tmp_path) == whole


def test_a_failure_of_an_earlier_launch_is_drawn_again_first(tmp_path: Path) -> None:
    shard = ShardFolder(tmp_path, range(4), 0, 2)
    shard.begin({})
    shard.note("p", DrawnPoint(1, "no more power"))
    shard.end("work", "first")
    assert shard.drawn("work", "first") and not shard.drawn("work", "second")
    shard.begin({})
    assert shard.points() == {"p": DrawnPoint(1)} and not shard.drawn("work", "first")
    shard.note("p", DrawnPoint(2))
    shard.end("work", "second")
    assert shard.points() == {"p": DrawnPoint(3)} and shard.drawn("work", "third")
    (shard.path / "shard.json").write_text('{"points": {"p": 3}}')  # damaged
    assert shard.points() == {}


def test_batches_that_were_halved_are_counted_over_all_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(point: Point, model: Model, batch: Sequence[int], tick: Any) -> Any:
        if len(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole_batch(point, model, batch, tick)

    whole_batch = point_batches._sample
    monkeypatch.setattr(point_batches, "_sample", small)
    assert completes(tmp_path / "one", *SCORED)
    for index in range(2):
        completes(tmp_path / "two", *SCORED, "shards=2", f"shard={index}")
    assert snapshot(tmp_path / "two") == snapshot(tmp_path / "one")
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("records/*.json")]
    halved = [record["cost"]["batches_halved"] for record in records]
    assert sorted(halved) == [0] * 4 + [2] * 4  # 0: of points that have the samples of another
