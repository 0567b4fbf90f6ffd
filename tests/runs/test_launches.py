"""Two launches of one experiment at once: those that would draw the same samples twice are refused in one line."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from smoothbench.cli import job
from smoothbench.config.expand import settings
from smoothbench.config.spec import Settings
from smoothbench.running import launches
from smoothbench.running.launches import one_launch
from tests.support.compose import composed

FEW = (
    "+exp=smoke",
    "num_samples=6",
    "batch_size=2",
    "metrics=[psnr]",
    "only=[fora]",
    "solver.steps=4",
    "device=cpu",
)
TWO, THREE = ("shards=2", "shard=0"), ("shards=3", "shard=1")


def plan(results: Path, *overrides: str) -> Settings:
    return settings(composed(*FEW, *overrides, f"results_dir={results}"))


@pytest.mark.parametrize(
    ("first", "second", "how"),
    [
        (TWO, THREE, "in 2 shards"),
        (THREE, TWO, "in 3 shards"),
        (TWO, (), "in 2 shards"),
        ((), TWO, "without shards"),
        # whose folders the last of the three would delete
        ((*TWO, "only=[smoothcache]"), THREE, "in 2 shards"),
    ],
)
def test_launches_that_would_draw_the_same_samples_are_one_clear_line(
    tmp_path: Path, first: Sequence[str], second: Sequence[str], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with one_launch(plan(tmp_path, *first)):
        assert job(composed(*FEW, *second, f"results_dir={tmp_path}")) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(
        f"error: {tmp_path}/runs/smoke: another process is at work on these seeds {how}: two launches"
    )
    assert not list(tmp_path.rglob("*.png")) and not list(tmp_path.rglob("shards/*"))
    with one_launch(plan(tmp_path, *second)):  # now that the first has ended
        pass


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((), ()),
        (TWO, ("shards=2", "shard=1")),
        (TWO, ("shards=3", "shard=0", "seed=1")),
        (TWO, ("stage=cost",)),
        (TWO, ("only=[smoothcache]",)),
    ],
)
def test_launches_that_share_or_divide_the_work_go_together(
    tmp_path: Path, first: Sequence[str], second: Sequence[str]
) -> None:
    with one_launch(plan(tmp_path, *first)), one_launch(plan(tmp_path, *second)):
        pass


def test_of_two_commands_that_start_the_same_shards_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = plan(tmp_path, *TWO), plan(tmp_path, "shards=2", "shard=1")
    with ExitStack() as first:
        monkeypatch.setattr(launches, "launch_name", lambda: "one")
        first.enter_context(one_launch(one))
        first.enter_context(one_launch(other))  # of the same command
        monkeypatch.setattr(launches, "launch_name", lambda: "")
        with one_launch(other):  # by hand, beside it
            pass
        monkeypatch.setattr(launches, "launch_name", lambda: "two")
        with (
            pytest.raises(launches.UsageError, match="in as many shards, by another command"),
            one_launch(other),
        ):
            pass
    with one_launch(other):
        pass
    # by hand, and of the second command
    assert len(list((tmp_path / "runs/smoke/.locks").glob("launch-*"))) == 2
